"""The Native DICOM Model (PS3.19 §A.1.5) read with Python's own XML parser, as the members of DICOM
JSON, so that one oracle judges both notations."""

import json
import xml.etree.ElementTree as ElementTree

NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
NUMBERS = {"DS", "IS", "SL", "SS", "UL", "US", "SV", "UV", "FL", "FD"}


def members(document):
    """The data set of a document, which is held to the model on the way."""
    root = ElementTree.fromstring(document)
    assert root.tag == f"{{{NAMESPACE}}}NativeDicomModel"
    assert root.attrib == {"{http://www.w3.org/XML/1998/namespace}space": "preserve"}
    return data_set(root)


def data_set(parent):
    found, blocks = {}, {}
    for child in parent:
        assert local(child) == "DicomAttribute", child.tag
        tag, vr = child.attrib["tag"], child.attrib["vr"]
        assert len(tag) == 8 and tag == tag.upper() and len(vr) == 2
        is_private = int(tag[3], 16) % 2 == 1
        creator = child.attrib.get("privateCreator")
        if creator is not None:
            # PS3.19 Table A.1.5-2: gggg00ee.
            assert is_private and tag[4:6] == "00" and "keyword" not in child.attrib
            tag = tag[:4] + blocks[tag[:4], creator] + tag[6:]
        member = {"vr": vr, **value(child, vr)}
        assert tag not in found, f"{tag} twice"
        found[tag] = member
        if is_private and tag[4:6] == "00" and member.get("Value"):
            blocks.setdefault((tag[:4], member["Value"][0]), tag[6:])
    return found


def value(attribute, vr):
    children = list(attribute)
    if not children:
        return {}
    kinds = {local(child) for child in children}
    assert len(kinds) == 1, kinds
    kind = kinds.pop()
    if kind == "InlineBinary":
        return {"InlineBinary": children[0].text or ""}
    if kind == "BulkData":
        assert list(children[0].attrib) == ["uri"]
        return {"BulkDataURI": children[0].attrib["uri"]}
    assert [child.attrib["number"] for child in children] == [str(n + 1) for n in range(len(children))], "numbers from 1"
    if kind == "Item":
        return {"Value": [data_set(child) for child in children]}
    if kind == "PersonName":
        return {"Value": [person_name(child) for child in children]}
    assert kind == "Value" and all(len(child) == 0 for child in children)
    return {"Value": [one_value(child.text, vr) for child in children]}


def one_value(text, vr):
    if text is None:
        return None
    if vr in NUMBERS:
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def person_name(element):
    name = {}
    for group in element:
        assert local(group) in GROUPS
        parts = {local(part): part.text for part in group}
        assert set(parts) <= set(COMPONENTS) and all(parts.values())
        name[local(group)] = "^".join(parts.get(c, "") for c in COMPONENTS).rstrip("^")
    return name or None


def local(element):
    namespace, _, name = element.tag.rpartition("}")
    assert namespace == "{" + NAMESPACE, element.tag
    return name


def keywords(document):
    """(tag, keyword, private creator) of every attribute at the root."""
    root = ElementTree.fromstring(document)
    return [(c.attrib["tag"], c.attrib.get("keyword"), c.attrib.get("privateCreator")) for c in root]
