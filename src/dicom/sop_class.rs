//! The SOP classes that this archive serves as SCP without being told (PS3.4 Tables B.5-1 and
//! GG.3-1, retired ones of PS3.6 Table A-1). Private storage classes come beside these, by
//! negotiation. Non-patient objects (hanging protocols, palettes) are in no study and not here.

/// Modalities (0008,0060) of what is written about images, and is none.
pub const DOCUMENT_MODALITIES: [&str; 5] = ["SR", "DOC", "KO", "PR", "AU"];

/// One SOP class.
#[derive(Debug, PartialEq, Eq)]
pub struct SopClass {
    /// Its UID.
    pub uid: &'static str,
    /// Its name in PS3.6 Table A-1.
    pub name: &'static str,
}

/// The Verification SOP Class (PS3.4 Annex A).
pub const VERIFICATION: &str = "1.2.840.10008.1.1";
/// Media Storage Directory Storage: a DICOMDIR, which leads to objects and is none (PS3.10 §8).
pub const MEDIA_STORAGE_DIRECTORY: &str = "1.2.840.10008.1.3.10";

const fn row(uid: &'static str, name: &'static str) -> SopClass {
    SopClass { uid, name }
}

/// Every storage SOP class of the standard whose instances belong to a study.
#[rustfmt::skip]
pub const STORAGE_SOP_CLASSES: &[SopClass] = &[
    row("1.2.840.10008.5.1.4.1.1.1", "Computed Radiography Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.1.1", "Digital X-Ray Image Storage - For Presentation"),
    row("1.2.840.10008.5.1.4.1.1.1.1.1", "Digital X-Ray Image Storage - For Processing"),
    row("1.2.840.10008.5.1.4.1.1.1.2", "Digital Mammography X-Ray Image Storage - For Presentation"),
    row("1.2.840.10008.5.1.4.1.1.1.2.1", "Digital Mammography X-Ray Image Storage - For Processing"),
    row("1.2.840.10008.5.1.4.1.1.1.3", "Digital Intra-Oral X-Ray Image Storage - For Presentation"),
    row("1.2.840.10008.5.1.4.1.1.1.3.1", "Digital Intra-Oral X-Ray Image Storage - For Processing"),
    row("1.2.840.10008.5.1.4.1.1.2", "CT Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.2.1", "Enhanced CT Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.2.2", "Legacy Converted Enhanced CT Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.3.1", "Ultrasound Multi-frame Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.4", "MR Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.4.1", "Enhanced MR Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.4.2", "MR Spectroscopy Storage"),
    row("1.2.840.10008.5.1.4.1.1.4.3", "Enhanced MR Color Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.4.4", "Legacy Converted Enhanced MR Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.6.1", "Ultrasound Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.6.2", "Enhanced US Volume Storage"),
    row("1.2.840.10008.5.1.4.1.1.6.3", "Photoacoustic Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.7", "Secondary Capture Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.7.1", "Multi-frame Single Bit Secondary Capture Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.7.2", "Multi-frame Grayscale Byte Secondary Capture Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.7.3", "Multi-frame Grayscale Word Secondary Capture Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.7.4", "Multi-frame True Color Secondary Capture Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.9.1.1", "12-lead ECG Waveform Storage"),
    row("1.2.840.10008.5.1.4.1.1.9.1.2", "General ECG Waveform Storage"),
    row("1.2.840.10008.5.1.4.1.1.9.1.3", "Ambulatory ECG Waveform Storage"),
    row("1.2.840.10008.5.1.4.1.1.9.1.4", "General 32-bit ECG Waveform Storage"),
    row("1.2.840.10008.5.1.4.1.1.9.2.1", "Hemodynamic Waveform Storage"),
    row("1.2.840.10008.5.1.4.1.1.9.3.1", "Cardiac Electrophysiology Waveform Storage"),
    row("1.2.840.10008.5.1.4.1.1.9.4.1", "Basic Voice Audio Waveform Storage"),
    row("1.2.840.10008.5.1.4.1.1.9.4.2", "General Audio Waveform Storage"),
    row("1.2.840.10008.5.1.4.1.1.9.5.1", "Arterial Pulse Waveform Storage"),
    row("1.2.840.10008.5.1.4.1.1.9.6.1", "Respiratory Waveform Storage"),
    row("1.2.840.10008.5.1.4.1.1.9.6.2", "Multi-channel Respiratory Waveform Storage"),
    row("1.2.840.10008.5.1.4.1.1.9.7.1", "Routine Scalp Electroencephalogram Waveform Storage"),
    row("1.2.840.10008.5.1.4.1.1.9.7.2", "Electromyogram Waveform Storage"),
    row("1.2.840.10008.5.1.4.1.1.9.7.3", "Electrooculogram Waveform Storage"),
    row("1.2.840.10008.5.1.4.1.1.9.7.4", "Sleep Electroencephalogram Waveform Storage"),
    row("1.2.840.10008.5.1.4.1.1.9.8.1", "Body Position Waveform Storage"),
    row("1.2.840.10008.5.1.4.1.1.9.100.1", "Waveform Presentation State Storage"),
    row("1.2.840.10008.5.1.4.1.1.9.100.2", "Waveform Acquisition Presentation State Storage"),
    row("1.2.840.10008.5.1.4.1.1.11.1", "Grayscale Softcopy Presentation State Storage"),
    row("1.2.840.10008.5.1.4.1.1.11.2", "Color Softcopy Presentation State Storage"),
    row("1.2.840.10008.5.1.4.1.1.11.3", "Pseudo-Color Softcopy Presentation State Storage"),
    row("1.2.840.10008.5.1.4.1.1.11.4", "Blending Softcopy Presentation State Storage"),
    row("1.2.840.10008.5.1.4.1.1.11.5", "XA/XRF Grayscale Softcopy Presentation State Storage"),
    row("1.2.840.10008.5.1.4.1.1.11.6", "Grayscale Planar MPR Volumetric Presentation State Storage"),
    row("1.2.840.10008.5.1.4.1.1.11.7", "Compositing Planar MPR Volumetric Presentation State Storage"),
    row("1.2.840.10008.5.1.4.1.1.11.8", "Advanced Blending Presentation State Storage"),
    row("1.2.840.10008.5.1.4.1.1.11.9", "Volume Rendering Volumetric Presentation State Storage"),
    row("1.2.840.10008.5.1.4.1.1.11.10", "Segmented Volume Rendering Volumetric Presentation State Storage"),
    row("1.2.840.10008.5.1.4.1.1.11.11", "Multiple Volume Rendering Volumetric Presentation State Storage"),
    row("1.2.840.10008.5.1.4.1.1.11.12", "Variable Modality LUT Softcopy Presentation State Storage"),
    row("1.2.840.10008.5.1.4.1.1.12.1", "X-Ray Angiographic Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.12.1.1", "Enhanced XA Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.12.2", "X-Ray Radiofluoroscopic Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.12.2.1", "Enhanced XRF Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.13.1.1", "X-Ray 3D Angiographic Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.13.1.2", "X-Ray 3D Craniofacial Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.13.1.3", "Breast Tomosynthesis Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.13.1.4", "Breast Projection X-Ray Image Storage - For Presentation"),
    row("1.2.840.10008.5.1.4.1.1.13.1.5", "Breast Projection X-Ray Image Storage - For Processing"),
    row("1.2.840.10008.5.1.4.1.1.14.1", "Intravascular Optical Coherence Tomography Image Storage - For Presentation"),
    row("1.2.840.10008.5.1.4.1.1.14.2", "Intravascular Optical Coherence Tomography Image Storage - For Processing"),
    row("1.2.840.10008.5.1.4.1.1.20", "Nuclear Medicine Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.30", "Parametric Map Storage"),
    row("1.2.840.10008.5.1.4.1.1.66", "Raw Data Storage"),
    row("1.2.840.10008.5.1.4.1.1.66.1", "Spatial Registration Storage"),
    row("1.2.840.10008.5.1.4.1.1.66.2", "Spatial Fiducials Storage"),
    row("1.2.840.10008.5.1.4.1.1.66.3", "Deformable Spatial Registration Storage"),
    row("1.2.840.10008.5.1.4.1.1.66.4", "Segmentation Storage"),
    row("1.2.840.10008.5.1.4.1.1.66.5", "Surface Segmentation Storage"),
    row("1.2.840.10008.5.1.4.1.1.66.6", "Tractography Results Storage"),
    row("1.2.840.10008.5.1.4.1.1.66.7", "Label Map Segmentation Storage"),
    row("1.2.840.10008.5.1.4.1.1.66.8", "Height Map Segmentation Storage"),
    row("1.2.840.10008.5.1.4.1.1.67", "Real World Value Mapping Storage"),
    row("1.2.840.10008.5.1.4.1.1.68.1", "Surface Scan Mesh Storage"),
    row("1.2.840.10008.5.1.4.1.1.68.2", "Surface Scan Point Cloud Storage"),
    row("1.2.840.10008.5.1.4.1.1.77.1.1", "VL Endoscopic Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.77.1.1.1", "Video Endoscopic Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.77.1.2", "VL Microscopic Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.77.1.2.1", "Video Microscopic Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.77.1.3", "VL Slide-Coordinates Microscopic Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.77.1.4", "VL Photographic Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.77.1.4.1", "Video Photographic Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.77.1.5.1", "Ophthalmic Photography 8 Bit Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.77.1.5.2", "Ophthalmic Photography 16 Bit Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.77.1.5.3", "Stereometric Relationship Storage"),
    row("1.2.840.10008.5.1.4.1.1.77.1.5.4", "Ophthalmic Tomography Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.77.1.5.5", "Wide Field Ophthalmic Photography Stereographic Projection Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.77.1.5.6", "Wide Field Ophthalmic Photography 3D Coordinates Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.77.1.5.7", "Ophthalmic Optical Coherence Tomography En Face Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.77.1.5.8", "Ophthalmic Optical Coherence Tomography B-scan Volume Analysis Storage"),
    row("1.2.840.10008.5.1.4.1.1.77.1.6", "VL Whole Slide Microscopy Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.77.1.7", "Dermoscopic Photography Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.77.1.8", "Confocal Microscopy Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.77.1.9", "Confocal Microscopy Tiled Pyramidal Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.78.1", "Lensometry Measurements Storage"),
    row("1.2.840.10008.5.1.4.1.1.78.2", "Autorefraction Measurements Storage"),
    row("1.2.840.10008.5.1.4.1.1.78.3", "Keratometry Measurements Storage"),
    row("1.2.840.10008.5.1.4.1.1.78.4", "Subjective Refraction Measurements Storage"),
    row("1.2.840.10008.5.1.4.1.1.78.5", "Visual Acuity Measurements Storage"),
    row("1.2.840.10008.5.1.4.1.1.78.6", "Spectacle Prescription Report Storage"),
    row("1.2.840.10008.5.1.4.1.1.78.7", "Ophthalmic Axial Measurements Storage"),
    row("1.2.840.10008.5.1.4.1.1.78.8", "Intraocular Lens Calculations Storage"),
    row("1.2.840.10008.5.1.4.1.1.79.1", "Macular Grid Thickness and Volume Report Storage"),
    row("1.2.840.10008.5.1.4.1.1.80.1", "Ophthalmic Visual Field Static Perimetry Measurements Storage"),
    row("1.2.840.10008.5.1.4.1.1.81.1", "Ophthalmic Thickness Map Storage"),
    row("1.2.840.10008.5.1.4.1.1.82.1", "Corneal Topography Map Storage"),
    row("1.2.840.10008.5.1.4.1.1.88.11", "Basic Text SR Storage"),
    row("1.2.840.10008.5.1.4.1.1.88.22", "Enhanced SR Storage"),
    row("1.2.840.10008.5.1.4.1.1.88.33", "Comprehensive SR Storage"),
    row("1.2.840.10008.5.1.4.1.1.88.34", "Comprehensive 3D SR Storage"),
    row("1.2.840.10008.5.1.4.1.1.88.35", "Extensible SR Storage"),
    row("1.2.840.10008.5.1.4.1.1.88.40", "Procedure Log Storage"),
    row("1.2.840.10008.5.1.4.1.1.88.50", "Mammography CAD SR Storage"),
    row("1.2.840.10008.5.1.4.1.1.88.59", "Key Object Selection Document Storage"),
    row("1.2.840.10008.5.1.4.1.1.88.65", "Chest CAD SR Storage"),
    row("1.2.840.10008.5.1.4.1.1.88.67", "X-Ray Radiation Dose SR Storage"),
    row("1.2.840.10008.5.1.4.1.1.88.68", "Radiopharmaceutical Radiation Dose SR Storage"),
    row("1.2.840.10008.5.1.4.1.1.88.69", "Colon CAD SR Storage"),
    row("1.2.840.10008.5.1.4.1.1.88.70", "Implantation Plan SR Storage"),
    row("1.2.840.10008.5.1.4.1.1.88.71", "Acquisition Context SR Storage"),
    row("1.2.840.10008.5.1.4.1.1.88.72", "Simplified Adult Echo SR Storage"),
    row("1.2.840.10008.5.1.4.1.1.88.73", "Patient Radiation Dose SR Storage"),
    row("1.2.840.10008.5.1.4.1.1.88.74", "Planned Imaging Agent Administration SR Storage"),
    row("1.2.840.10008.5.1.4.1.1.88.75", "Performed Imaging Agent Administration SR Storage"),
    row("1.2.840.10008.5.1.4.1.1.88.76", "Enhanced X-Ray Radiation Dose SR Storage"),
    row("1.2.840.10008.5.1.4.1.1.88.77", "Waveform Annotation SR Storage"),
    row("1.2.840.10008.5.1.4.1.1.90.1", "Content Assessment Results Storage"),
    row("1.2.840.10008.5.1.4.1.1.91.1", "Microscopy Bulk Simple Annotations Storage"),
    row("1.2.840.10008.5.1.4.1.1.104.1", "Encapsulated PDF Storage"),
    row("1.2.840.10008.5.1.4.1.1.104.2", "Encapsulated CDA Storage"),
    row("1.2.840.10008.5.1.4.1.1.104.3", "Encapsulated STL Storage"),
    row("1.2.840.10008.5.1.4.1.1.104.4", "Encapsulated OBJ Storage"),
    row("1.2.840.10008.5.1.4.1.1.104.5", "Encapsulated MTL Storage"),
    row("1.2.840.10008.5.1.4.1.1.128", "Positron Emission Tomography Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.128.1", "Legacy Converted Enhanced PET Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.130", "Enhanced PET Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.131", "Basic Structured Display Storage"),
    row("1.2.840.10008.5.1.4.1.1.200.2", "CT Performed Procedure Protocol Storage"),
    row("1.2.840.10008.5.1.4.1.1.200.8", "XA Performed Procedure Protocol Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.1", "RT Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.2", "RT Dose Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.3", "RT Structure Set Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.4", "RT Beams Treatment Record Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.5", "RT Plan Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.6", "RT Brachy Treatment Record Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.7", "RT Treatment Summary Record Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.8", "RT Ion Plan Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.9", "RT Ion Beams Treatment Record Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.10", "RT Physician Intent Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.11", "RT Segment Annotation Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.12", "RT Radiation Set Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.13", "C-Arm Photon-Electron Radiation Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.14", "Tomotherapeutic Radiation Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.15", "Robotic-Arm Radiation Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.16", "RT Radiation Record Set Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.17", "RT Radiation Salvage Record Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.18", "Tomotherapeutic Radiation Record Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.19", "C-Arm Photon-Electron Radiation Record Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.20", "Robotic Radiation Record Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.21", "RT Radiation Set Delivery Instruction Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.22", "RT Treatment Preparation Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.23", "Enhanced RT Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.24", "Enhanced Continuous RT Image Storage"),
    row("1.2.840.10008.5.1.4.1.1.481.25", "RT Patient Position Acquisition Instruction Storage"),
    row("1.2.840.10008.5.1.4.34.7", "RT Beams Delivery Instruction Storage"),
    row("1.2.840.10008.5.1.4.34.10", "RT Brachy Application Setup Delivery Instruction Storage"),
    // Retired, but still found in archives.
    row("1.2.840.10008.5.1.1.27", "Stored Print Storage SOP Class (Retired)"),
    row("1.2.840.10008.5.1.1.29", "Hardcopy Grayscale Image Storage SOP Class (Retired)"),
    row("1.2.840.10008.5.1.1.30", "Hardcopy Color Image Storage SOP Class (Retired)"),
    row("1.2.840.10008.5.1.4.1.1.3", "Ultrasound Multi-frame Image Storage (Retired)"),
    row("1.2.840.10008.5.1.4.1.1.5", "Nuclear Medicine Image Storage (Retired)"),
    row("1.2.840.10008.5.1.4.1.1.6", "Ultrasound Image Storage (Retired)"),
    row("1.2.840.10008.5.1.4.1.1.8", "Standalone Overlay Storage (Retired)"),
    row("1.2.840.10008.5.1.4.1.1.9", "Standalone Curve Storage (Retired)"),
    row("1.2.840.10008.5.1.4.1.1.9.1", "Waveform Storage - Trial (Retired)"),
    row("1.2.840.10008.5.1.4.1.1.10", "Standalone Modality LUT Storage (Retired)"),
    row("1.2.840.10008.5.1.4.1.1.11", "Standalone VOI LUT Storage (Retired)"),
    row("1.2.840.10008.5.1.4.1.1.12.3", "X-Ray Angiographic Bi-Plane Image Storage (Retired)"),
    row("1.2.840.10008.5.1.4.1.1.77.1", "VL Image Storage - Trial (Retired)"),
    row("1.2.840.10008.5.1.4.1.1.77.2", "VL Multi-frame Image Storage - Trial (Retired)"),
    row("1.2.840.10008.5.1.4.1.1.88.1", "Text SR Storage - Trial (Retired)"),
    row("1.2.840.10008.5.1.4.1.1.88.2", "Audio SR Storage - Trial (Retired)"),
    row("1.2.840.10008.5.1.4.1.1.88.3", "Detail SR Storage - Trial (Retired)"),
    row("1.2.840.10008.5.1.4.1.1.88.4", "Comprehensive SR Storage - Trial (Retired)"),
    row("1.2.840.10008.5.1.4.1.1.129", "Standalone PET Curve Storage (Retired)"),
];

/// The storage SOP class with this UID.
#[must_use]
pub fn storage(uid: &str) -> Option<&'static SopClass> {
    STORAGE_SOP_CLASSES.iter().find(|class| class.uid == uid)
}

/// What of [`STORAGE_SOP_CLASSES`] shows how somebody read the images before: documents, what was marked or
/// selected, how it was to be looked at. A name that ends in a dot stands for all below it.
#[rustfmt::skip]
const REPORTS: &[&str] = &[
    // Structured reports and key object selections, CAD and dose among them.
    "1.2.840.10008.5.1.4.1.1.88.",
    // Presentation states, of waveforms too; structured displays.
    "1.2.840.10008.5.1.4.1.1.11.",
    "1.2.840.10008.5.1.4.1.1.9.100.",
    "1.2.840.10008.5.1.4.1.1.131",
    // Encapsulated PDF and CDA; models for printing are none.
    "1.2.840.10008.5.1.4.1.1.104.1",
    "1.2.840.10008.5.1.4.1.1.104.2",
    // Content assessment, annotations.
    "1.2.840.10008.5.1.4.1.1.90.1",
    "1.2.840.10008.5.1.4.1.1.91.1",
    "1.2.840.10008.5.1.4.1.1.481.11",
    // Somebody's contours and marks: segmentations, structure sets, fiducials.
    "1.2.840.10008.5.1.4.1.1.66.2",
    "1.2.840.10008.5.1.4.1.1.66.4",
    "1.2.840.10008.5.1.4.1.1.66.5",
    "1.2.840.10008.5.1.4.1.1.66.7",
    "1.2.840.10008.5.1.4.1.1.66.8",
    "1.2.840.10008.5.1.4.1.1.481.3",
];

/// Whether instances of a class may show an earlier reading, so that who reads blind must not see them. So
/// may those of a class that the table does not have: nobody can say what is in them.
#[must_use]
pub fn is_report(uid: &str) -> bool {
    let is_it = |row: &&str| match row.ends_with('.') {
        true => uid.starts_with(*row),
        false => uid == *row,
    };
    REPORTS.iter().any(is_it) || storage(uid).is_none()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use dicom_core::dictionary::{UidDictionary, UidDictionaryEntry};
    use dicom_dictionary_std::StandardSopClassDictionary;

    use super::*;

    #[test]
    fn rows_agree_with_the_dictionary() {
        for class in STORAGE_SOP_CLASSES {
            let entry = StandardSopClassDictionary
                .by_uid(class.uid)
                .expect(class.uid);
            assert_eq!(entry.name(), class.name);
        }
        let uids: HashSet<_> = STORAGE_SOP_CLASSES.iter().map(|class| class.uid).collect();
        // 170 of pynetdicom 3.0.4 `_STORAGE_CLASSES`, 19 retired in pydicom 3.0.2 `UID_dictionary`.
        assert_eq!((uids.len(), STORAGE_SOP_CLASSES.len()), (189, 189));
        assert_eq!(
            storage("1.2.840.10008.5.1.4.1.1.2").map(|class| class.name),
            Some("CT Image Storage")
        );
        assert_eq!(storage(VERIFICATION), None);
    }

    #[test]
    fn reports_are_known_by_their_class() {
        let all = || STORAGE_SOP_CLASSES.iter();
        let named = |words: &[&str], name: &str| words.iter().any(|word| name.contains(word));
        let reports = [
            " SR ",
            "Presentation State",
            "Key Object",
            "PDF",
            "CDA",
            "Structured Display",
            "Procedure Log",
            "Segmentation",
            "Structure Set",
            "Annotation",
            "Fiducials",
            "Content Assessment",
        ];
        for class in all() {
            assert_eq!(
                is_report(class.uid),
                named(&reports, class.name),
                "{}",
                class.name
            );
        }
        for row in REPORTS {
            assert!(all().any(|class| class.uid.starts_with(row)), "{row}");
        }
        // Siemens CSA Non-Image Storage holds findings; nobody knows what is below an unknown root.
        for unknown in [
            "1.3.12.2.1107.5.9.1",
            "1.2.3",
            "1.2.840.10008.5.1.4.1.1.88.99",
        ] {
            assert!(is_report(unknown), "{unknown}");
        }
    }
}
