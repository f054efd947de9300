//! Overread: a DICOMweb archive in one binary, made for second opinions in radiology.
//!
//! The house is an hourglass. Thin *doors* ([`dimse`], [`dicomweb`], [`api`], [`web`], [`cli`], [`doctor`],
//! [`forward`], [`notices`]) call *deeds* ([`archive`], [`access`], [`worklist`], [`cases`], [`inbox`]) that hold every rule; deeds keep
//! things on *shelves* ([`store`], [`db`]); all may speak the pure *words* ([`dicom`], [`imaging`]).
//! There is one ingest, one search and one retrieve, whatever the door, and "stored" is said
//! only after the index commit. ARCHITECTURE.md has the map and the invariants;
//! `tests/architecture.rs` keeps the walls.

pub mod dicom;
pub mod imaging;

pub mod access;
pub mod archive;
pub mod cases;
pub mod inbox;
pub mod worklist;

pub mod db;
pub mod store;

pub mod api;
pub mod cli;
pub mod dicomweb;
pub mod dimse;
pub mod doctor;
pub mod forward;
pub mod http;
pub mod notices;
pub mod web;

pub mod app;
pub mod config;
pub mod demo;
pub mod telemetry;
