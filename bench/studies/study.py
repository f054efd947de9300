"""One study to files: whose it is, when it was, its series and instances. Everything follows from the set's name, its seed and
the study's number."""
import hashlib
import os

import numpy as np

from .header import SOP_CLASSES, element, elements, file_meta, uid
from .pixels import encapsulated, jpeg, pixels, small

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
SHAPES = {"CT": (512, 512, 1), "MR": (256, 256, 1), "PT": (200, 200, 1), "CR": (2048, 2048, 1), "DX": (2022, 2022, 1),
          "US": (480, 640, 60), "ECT": (512, 512, 1000)}
MIX = ["CT", "MR", "CR", "DX", "PT", "US", "CT", "MR"]
SURNAMES_LATIN1 = """SMITH JOHNSON WILLIAMS BROWN JONES GARCÍA MILLER DAVIS RODRÍGUEZ MARTÍNEZ ANDERSON WILSON THOMPSON JACKSON
    WHITE MÜLLER SCHMIDT SCHNEIDER FISCHER WEBER MEYER WAGNER BECKER SCHULZ HOFFMANN LEFÈVRE DUPONT DUBOIS MOREAU LAURENT ROSSI
    RUSSO FERRARI ESPOSITO HANSEN OLSEN NIELSEN JØRGENSEN SMITHSON SMITHERS PETERSON ROBINSON HARRISON NELSON CARLSON WATSON
    CLARK LEWIS WALKER HALL YOUNG KING WRIGHT LOPEZ HILL GREEN ADAMS BAKER CARTER MITCHELL ROBERTS TURNER""".split()
SURNAMES_UTF8 = """NOVÁK DVOŘÁK KOWALSKI WIŚNIEWSKI WÓJCIK YILMAZ ŞAHİN ÇELİK PAPADOPOULOS ИВАНОВ СМИРНОВ КУЗНЕЦОВ NGUYỄN TRẦN
    HORVÁTH SZABÓ""".split()
GIVEN = """JOHN MARY JAMES PATRICIA ROBERT JENNIFER MICHAEL LINDA DAVID ELIZABETH ANNA PETER HANS MARIE PIERRE LUCIA GIULIA SVEN
    INGRID CARLOS SOFÍA ANDRÉ ZOË JÜRGEN""".split()
JAPANESE = ["YAMADA^TAROU=山田^太郎=やまだ^たろう", "SUZUKI^HANAKO=鈴木^花子=すずき^はなこ", "TANAKA^ICHIROU=田中^一郎=たなか^いちろう",
            "SATOU^KENJI=佐藤^健二=さとう^けんじ", "WATANABE^YUKI=渡辺^由紀=わたなべ^ゆき", "ITOU^AKIRA=伊藤^明=いとう^あきら"]
DESCRIPTIONS = {
    "CT": ["CT THORAX/ABDOMEN", "CT HEAD W/O CONTRAST", "CT ANGIO CHEST"], "MR": ["MRI BRAIN W/WO", "MRI KNEE LEFT", "MRI L-SPINE"],
    "PT": ["PET/CT WHOLE BODY FDG"], "CR": ["XR CHEST PA/LAT"], "DX": ["DX HAND RIGHT", "DX CHEST"],
    "US": ["US ABDOMEN COMPLETE"], "ECT": ["CT CARDIAC 4D"],
}


def generator(*parts):
    text = "|".join(map(str, parts)).encode()
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text).digest()[:8], "big"))


def person_name(random, character_set):
    if character_set == "jp":
        return JAPANESE[int(random.integers(len(JAPANESE)))]
    pool = SURNAMES_LATIN1 if character_set == "latin1" else SURNAMES_UTF8
    # Few names are most of them, as in life.
    surname = pool[min(int(random.zipf(1.35)) - 1, 10 ** 6) % len(pool)]
    return f"{surname}^{GIVEN[int(random.integers(len(GIVEN)))]}"


def encoded_name(character_set, name):
    if character_set != "jp":
        return name.encode("latin-1" if character_set == "latin1" else "utf-8")
    groups = name.split("=")
    return b"=".join(b"^".join(part.encode("iso2022_jp") for part in group.split("^")) for group in groups)


def write_study(job):
    """(set, number of the study, folder) -> what the manifest says of the study."""
    of, number, folder = job
    random = generator(of.seed, of.name, number)
    modality = MIX[number % len(MIX)] if of.modality == "MIX" else of.modality
    rows, columns, frames = (8, 8, 2 if modality == "US" else 1) if of.is_small else (
        of.rows or SHAPES[modality][0], of.columns or SHAPES[modality][1], of.frames or SHAPES[modality][2])
    patient = number % max(1, int(of.studies * .7))  # some 1.4 studies a patient
    whose = generator(of.seed, of.name, f"p{patient}")
    draw = int(whose.integers(100))  # one character set a patient
    character_set = "latin1" if draw < 70 else "utf8" if draw < 90 else "jp"
    name = person_name(whose, character_set)
    day = str(np.datetime64("2015-01-01") + int(random.integers(0, 3650))).replace("-", "")
    clock = [int(random.integers(7, 19)), int(random.integers(60)), int(random.integers(60)), int(random.integers(10 ** 6))]
    description = DESCRIPTIONS[modality][int(random.integers(len(DESCRIPTIONS[modality])))]
    study = {
        "StudyInstanceUID": uid(of.seed, of.name, number), "PatientID": f"{of.name.upper()}{patient:07d}", "PatientName": name,
        "StudyDate": day, "AccessionNumber": f"A{number:09d}", "Modality": "CT" if modality == "ECT" else modality, "series": [],
    }
    common = [
        (0x00080020, "DA", day), (0x00080030, "TM", "{:02d}{:02d}{:02d}.{:06d}".format(*clock)), (0x00080021, "DA", day),
        (0x00080050, "SH", study["AccessionNumber"]), (0x00081030, "LO", description), (0x00100020, "LO", study["PatientID"]),
        (0x00100030, "DA", f"{1930 + patient % 80}{patient % 12 + 1:02d}{patient % 28 + 1:02d}"),
        (0x00100040, "CS", "FM"[1 - (patient & 1)]), (0x0020000D, "UI", study["StudyInstanceUID"]), (0x00200010, "SH", str(number)),
        (0x00200052, "UI", uid("for", study["StudyInstanceUID"])),
    ]
    common = {tag: element(tag, vr, value.encode()) for tag, vr, value in common}
    common[0x00100010] = element(0x00100010, "PN", encoded_name(character_set, name))
    place = os.path.join(of.name, f"{number // 1000:03d}" if of.studies > 1000 else "")
    os.makedirs(os.path.join(folder, place), exist_ok=True)
    template = elements(modality, character_set, of.is_small, rows, columns, frames)
    is_jpeg = modality == "US" and of.is_jpeg and not of.is_small
    count = 0
    for s in range(of.series):
        series = {"SeriesInstanceUID": uid(of.seed, of.name, number, s), "Modality": study["Modality"], "instances": []}
        first, end = s * of.instances // of.series, (s + 1) * of.instances // of.series
        for n in range(first, end):
            instance = uid(of.seed, of.name, number, s, n)
            z = f"{(n - first) * 1.5:.1f}"
            own = [
                (0x00080018, "UI", instance), (0x0020000E, "UI", series["SeriesInstanceUID"]), (0x00200011, "IS", str(s + 1)),
                (0x00200013, "IS", str(n - first + 1)), (0x0008103E, "LO", f"{description} s{s + 1}"),
                (0x00200032, "DS", f"-249.5\\-249.5\\{z}"), (0x00201041, "DS", z),
            ]
            if is_jpeg:
                own += [(0x00280004, "CS", "YBR_FULL"), (0x00282110, "CS", "01")]
            varying = common | {tag: element(tag, vr, value.encode()) for tag, vr, value in own}
            vr = "OB" if modality == "US" else "OW"
            if of.is_small:
                pixel_data = element(0x7FE00010, vr, small(random, modality, rows, columns, frames))
            else:
                made = pixels(random, modality, rows, columns, frames, n, of.instances)
                pixel_data = encapsulated(jpeg(made)) if is_jpeg else element(0x7FE00010, vr, made.tobytes())
            file = os.path.join(place, f"{number:06d}_{count:05d}.dcm")
            with open(os.path.join(folder, file), "wb") as f:
                f.write(file_meta(SOP_CLASSES[modality], instance, JPEG_BASELINE if is_jpeg else EXPLICIT_LITTLE_ENDIAN))
                f.write(b"".join(varying.get(tag, encoded) for tag, encoded in template))
                f.write(pixel_data)
            series["instances"].append([instance, file])
            count += 1
        if series["instances"]:
            study["series"].append(series)
    return study
