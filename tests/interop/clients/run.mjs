// What dicomweb-client (the library under OHIF) makes of a DICOMweb server, told as JSON on stdout:
//   node run.mjs URL FILE…     stores the Part 10 files, then searches and retrieves the first one.
import { readFileSync } from "node:fs";
import { createHash } from "node:crypto";
import xhr2 from "xhr2";

globalThis.XMLHttpRequest = xhr2;
const { api } = (await import("dicomweb-client")).default;
const dcmjs = (await import("dcmjs")).default;

const [url, ...files] = process.argv.slice(2);
const client = new api.DICOMwebClient({ url });
const sha256 = (data) => createHash("sha256").update(new Uint8Array(data)).digest("hex");
const bytes = (path) => {
  const buffer = readFileSync(path);
  return buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength);
};

const told = {};
told.stored = await client.storeInstances({ datasets: files.map(bytes) });

const { DicomMetaDictionary, DicomMessage } = dcmjs.data;
const first = DicomMetaDictionary.naturalizeDataset(DicomMessage.readFile(bytes(files[0])).dict);
const uids = {
  studyInstanceUID: first.StudyInstanceUID,
  seriesInstanceUID: first.SeriesInstanceUID,
  sopInstanceUID: first.SOPInstanceUID,
};
told.uids = uids;
told.studies = await client.searchForStudies({ queryParams: { StudyInstanceUID: uids.studyInstanceUID, fuzzymatching: true } });
told.series = await client.searchForSeries({ studyInstanceUID: uids.studyInstanceUID });
told.instances = await client.searchForInstances({ studyInstanceUID: uids.studyInstanceUID, queryParams: { includefield: "all" } });
[told.metadata] = await client.retrieveInstanceMetadata(uids);
told.seriesMetadata = (await client.retrieveSeriesMetadata(uids)).length;
told.studyMetadata = (await client.retrieveStudyMetadata(uids)).length;

const instance = await client.retrieveInstance(uids);
told.instance = sha256(instance);
const back = DicomMetaDictionary.naturalizeDataset(DicomMessage.readFile(instance).dict);
told.patientName = String(back.PatientName);
told.studyCount = (await client.retrieveStudy(uids)).length;
told.seriesCount = (await client.retrieveSeries(uids)).length;
const frames = await client.retrieveInstanceFrames({ ...uids, frameNumbers: [1] });
told.frame = sha256(frames[0]);

// Browsers send this where the library says nothing.
const browser = new api.DICOMwebClient({ url, headers: { Accept: "*/*" } });
const [picture] = await browser.retrieveInstanceRendered(uids);
told.rendered = Buffer.from(picture).toString("base64");
const linked = Object.entries(told.metadata).find(([tag, member]) => tag !== "7FE00010" && member.BulkDataURI);
if (linked) {
  const value = await client.retrieveBulkData({ BulkDataURI: linked[1].BulkDataURI });
  told.bulk = { tag: linked[0], sha256: sha256(value[0]) };
}
console.log(JSON.stringify(told));
