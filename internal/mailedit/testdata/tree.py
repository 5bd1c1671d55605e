"""Reads messages, one in base64 on each line, and writes the tree of each as JSON,
as Python's email package reads them."""

import base64
import email
import json
import sys


def tree(part):
    kind = part.get_content_type()
    out = {"Kind": kind, "Filename": part.get_filename() or "", "Kids": []}
    if part.is_multipart():
        out["Kids"] = [tree(p) for p in part.get_payload()]
        return out
    content = part.get_payload(decode=True)
    if part.get_content_maintype() == "text":
        text = content.decode(part.get_content_charset("us-ascii"))
        content = text.replace("\r\n", "\n").encode()
    out["Content"] = base64.b64encode(content).decode()
    out["Defects"] = [type(d).__name__ for d in part.defects]
    return out


for line in sys.stdin:
    print(json.dumps(tree(email.message_from_bytes(base64.b64decode(line)))))
