//! Made-up studies, always the same: study number n has the same patient, dates, series and bytes
//! whenever it is made. Patients come again, names are few and dates are spread over nine years, so
//! that every index is hit at any place, as in the worst of archives.

const SURNAMES: &[&str] = &[
    "SMITH",
    "JOHNSON",
    "WILLIAMS",
    "BROWN",
    "JONES",
    "GARCÍA",
    "MILLER",
    "DAVIS",
    "RODRÍGUEZ",
    "MARTÍNEZ",
    "ANDERSON",
    "WILSON",
    "THOMPSON",
    "JACKSON",
    "WHITE",
    "MÜLLER",
    "SCHMIDT",
    "SCHNEIDER",
    "FISCHER",
    "WEBER",
    "MEYER",
    "WAGNER",
    "BECKER",
    "SCHULZ",
    "HOFFMANN",
    "LEFÈVRE",
    "DUPONT",
    "DUBOIS",
    "MOREAU",
    "LAURENT",
    "ROSSI",
    "RUSSO",
    "FERRARI",
    "ESPOSITO",
    "HANSEN",
    "OLSEN",
    "NIELSEN",
    "JØRGENSEN",
    "SMITHSON",
    "SMITHERS",
    "PETERSON",
    "ROBINSON",
    "HARRISON",
    "NELSON",
    "CARLSON",
    "WATSON",
    "CLARK",
    "LEWIS",
    "WALKER",
    "HALL",
    "YOUNG",
    "KING",
    "WRIGHT",
    "LOPEZ",
    "HILL",
    "GREEN",
    "ADAMS",
    "BAKER",
    "CARTER",
    "MITCHELL",
    "NOVÁK",
    "KOWALSKI",
    "YILMAZ",
    "PAPADOPOULOS",
    "ИВАНОВ",
    "СМИРНОВ",
    "NGUYỄN",
    "HORVÁTH",
];
const GIVEN_NAMES: &[&str] = &[
    "JOHN",
    "MARY",
    "JAMES",
    "PATRICIA",
    "ROBERT",
    "JENNIFER",
    "MICHAEL",
    "LINDA",
    "DAVID",
    "ELIZABETH",
    "ANNA",
    "PETER",
    "HANS",
    "MARIE",
    "PIERRE",
    "LUCIA",
    "GIULIA",
    "SVEN",
    "INGRID",
    "CARLOS",
    "SOFÍA",
    "ANDRÉ",
    "ZOË",
    "JÜRGEN",
];
/// Modality, SOP class, body part, description.
const KINDS: &[(&str, &str, &str, &str)] = &[
    (
        "CT",
        "1.2.840.10008.5.1.4.1.1.2",
        "CHEST",
        "CT THORAX/ABDOMEN",
    ),
    (
        "CT",
        "1.2.840.10008.5.1.4.1.1.2",
        "HEAD",
        "CT HEAD W/O CONTRAST",
    ),
    ("MR", "1.2.840.10008.5.1.4.1.1.4", "BRAIN", "MRI BRAIN W/WO"),
    ("MR", "1.2.840.10008.5.1.4.1.1.4", "KNEE", "MRI KNEE LEFT"),
    (
        "CR",
        "1.2.840.10008.5.1.4.1.1.1",
        "CHEST",
        "XR CHEST PA/LAT",
    ),
    ("DX", "1.2.840.10008.5.1.4.1.1.1.1", "HAND", "DX HAND RIGHT"),
    (
        "US",
        "1.2.840.10008.5.1.4.1.1.6.1",
        "ABDOMEN",
        "US ABDOMEN COMPLETE",
    ),
    (
        "PT",
        "1.2.840.10008.5.1.4.1.1.128",
        "WHOLEBODY",
        "PET/CT WHOLE BODY FDG",
    ),
];

/// Numbers that look like chance (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    fn one_of<'t, T>(&mut self, list: &'t [T]) -> &'t T {
        &list[usize::try_from(self.below(list.len() as u64)).unwrap_or_default()]
    }

    fn uid(&mut self) -> String {
        let high = 1_000_000_000_000 + self.below(9_000_000_000_000);
        format!(
            "1.2.826.0.1.3680043.10.9999.{high}{:015}",
            self.below(1_000_000_000_000_000)
        )
    }

    fn date(&mut self, first_year: u64, years: u64) -> String {
        let (year, month, day) = (
            first_year + self.below(years),
            1 + self.below(12),
            1 + self.below(28),
        );
        format!("{year}{month:02}{day:02}")
    }

    fn name(&mut self) -> String {
        format!("{}^{}", self.one_of(SURNAMES), self.one_of(GIVEN_NAMES))
    }
}

/// Whose study it is: two patients come with three studies, the third study is of somebody who came before.
fn patient_of(study: u64) -> u64 {
    if study % 3 != 2 {
        return study;
    }
    let before = Dice(study).below(study);
    before - u64::from(before % 3 == 2)
}

/// The data sets of study number `n` in Explicit VR Little Endian (PS3.5 §7.1.2): one to three series,
/// one or two instances in each.
pub(crate) fn study(n: u64) -> Vec<Vec<u8>> {
    let patient = patient_of(n);
    let mut dice = Dice(patient ^ 0x5041_5449_454E_5400);
    let (name, birth_date) = (dice.name(), dice.date(1930, 90));
    let sex = if dice.below(2) == 0 { "F" } else { "M" };

    let mut dice = Dice(n ^ 0x5354_5544_5900_0000);
    let study_uid = dice.uid();
    let (date, referrer) = (dice.date(2015, 9), dice.name());
    let time = format!(
        "{:02}{:02}{:02}",
        dice.below(24),
        dice.below(60),
        dice.below(60)
    );
    let (modality, sop_class_uid, part, description) = *dice.one_of(KINDS);
    let mut objects = Vec::new();
    for series in 1..=1 + dice.below(5) / 2 {
        let (series_uid, frame_of_reference) = (dice.uid(), dice.uid());
        for instance in 1..=1 + dice.below(4) / 2 {
            let sop_instance_uid = dice.uid();
            let mut set = Vec::new();
            let mut put =
                |tag: u32, vr: &[u8; 2], value: &str| element(&mut set, tag, vr, value.as_bytes());
            put(0x0008_0005, b"CS", "ISO_IR 192");
            put(0x0008_0008, b"CS", "ORIGINAL\\PRIMARY\\AXIAL");
            put(0x0008_0016, b"UI", sop_class_uid);
            put(0x0008_0018, b"UI", &sop_instance_uid);
            put(0x0008_0020, b"DA", &date);
            put(0x0008_0021, b"DA", &date);
            put(0x0008_0022, b"DA", &date);
            put(0x0008_0023, b"DA", &date);
            put(0x0008_0030, b"TM", &time);
            put(0x0008_0031, b"TM", &time);
            put(0x0008_0032, b"TM", &format!("{time}.{instance:06}"));
            put(0x0008_0050, b"SH", &format!("A{n:09}"));
            put(0x0008_0060, b"CS", modality);
            put(0x0008_0070, b"LO", "SIEMENS");
            put(0x0008_0080, b"LO", "Universitätsklinikum");
            put(0x0008_0090, b"PN", &referrer);
            put(0x0008_1010, b"SH", "STATION01");
            put(0x0008_1030, b"LO", description);
            put(0x0008_103E, b"LO", &format!("{description} s{series}"));
            put(0x0008_1040, b"LO", "Radiology");
            put(0x0008_1070, b"PN", "OP^ERATOR");
            put(0x0008_1090, b"LO", "Model X 128");
            put(0x0010_0010, b"PN", &name);
            put(0x0010_0020, b"LO", &format!("P{patient:08}"));
            put(0x0010_0021, b"LO", "HOSP");
            put(0x0010_0030, b"DA", &birth_date);
            put(0x0010_0040, b"CS", sex);
            put(0x0018_0015, b"CS", part);
            put(0x0018_0050, b"DS", "1.5");
            put(0x0018_1030, b"LO", "Routine");
            put(0x0020_000D, b"UI", &study_uid);
            put(0x0020_000E, b"UI", &series_uid);
            put(0x0020_0010, b"SH", &format!("{}", n % 100_000));
            put(0x0020_0011, b"IS", &series.to_string());
            put(0x0020_0012, b"IS", "1");
            put(0x0020_0013, b"IS", &instance.to_string());
            put(
                0x0020_0032,
                b"DS",
                &format!("-249.5\\-249.5\\{}", instance * 3),
            );
            put(0x0020_0037, b"DS", "1\\0\\0\\0\\1\\0");
            put(0x0020_0052, b"UI", &frame_of_reference);
            for (tag, value) in [
                (0x0028_0002, 1_u16),
                (0x0028_0010, 8),
                (0x0028_0011, 8),
                (0x0028_0100, 16),
            ] {
                if tag == 0x0028_0010 {
                    element(&mut set, 0x0028_0004, b"CS", b"MONOCHROME2");
                }
                element(&mut set, tag, b"US", &value.to_le_bytes());
            }
            element(&mut set, 0x0028_0101, b"US", &12_u16.to_le_bytes());
            element(&mut set, 0x0028_0102, b"US", &11_u16.to_le_bytes());
            element(&mut set, 0x0028_0103, b"US", &0_u16.to_le_bytes());
            element(&mut set, 0x0028_1050, b"DS", b"40");
            element(&mut set, 0x0028_1051, b"DS", b"400");
            element(&mut set, 0x0040_0244, b"DA", date.as_bytes());
            element(&mut set, 0x0040_0245, b"TM", time.as_bytes());
            element(&mut set, 0x7FE0_0010, b"OW", &[0; 128]);
            objects.push(set);
        }
    }
    objects
}

fn element(out: &mut Vec<u8>, tag: u32, vr: &[u8; 2], value: &[u8]) {
    let [a, b, c, d] = tag.to_be_bytes();
    out.extend([b, a, d, c]);
    out.extend(vr);
    let length = value.len() + value.len() % 2;
    if vr == b"OW" {
        out.extend([0, 0]);
        out.extend(u32::try_from(length).unwrap_or_default().to_le_bytes());
    } else {
        out.extend(u16::try_from(length).unwrap_or_default().to_le_bytes());
    }
    out.extend(value);
    if value.len() % 2 == 1 {
        out.push(if vr == b"UI" { 0 } else { b' ' });
    }
}
