-- All edits of a message, then a second message on the connection without any.
dofile("lib.lua")

local conn = dial()
upto("header", conn)
expect("header", conn, mt.header(conn, "Subject", " edit"), SMFIR_CONTINUE)
expect("header", conn, mt.header(conn, "X-Two", " one"), SMFIR_CONTINUE)
expect("header", conn, mt.header(conn, "X-Two", " two"), SMFIR_CONTINUE)
expect("header", conn, mt.header(conn, "X-Gone", " g"), SMFIR_CONTINUE)
eoh(conn)
expect("body", conn, mt.bodystring(conn, "a body\r\n"), SMFIR_CONTINUE)
if mt.eom(conn) ~= nil then
	fail("eom")
end
check("add", mt.eom_check(conn, MT_HDRADD, "X-Added"))
check("insert", mt.eom_check(conn, MT_HDRINSERT, "X-Top"))
check("change", mt.eom_check(conn, MT_HDRCHANGE, "X-Two"))
check("delete", mt.eom_check(conn, MT_HDRDELETE, "X-Gone"))
check("rcpt added", mt.eom_check(conn, MT_RCPTADD, "<c@example.org>"))
check("rcpt deleted", mt.eom_check(conn, MT_RCPTDELETE, "<b@example.org>"))
check("body", mt.eom_check(conn, MT_BODYCHANGE, "new\r\n"))
check("quarantine", mt.eom_check(conn, MT_QUARANTINE, "a look"))

upto("header", conn)
expect("header", conn, mt.header(conn, "Subject", " plain"), SMFIR_CONTINUE)
eoh(conn)
expect("body", conn, mt.bodystring(conn, "a body\r\n"), SMFIR_CONTINUE)
if mt.eom(conn) ~= nil then
	fail("eom")
end
check("no edits of the second message", not mt.eom_check(conn, MT_HDRADD) and not mt.eom_check(conn, MT_BODYCHANGE))
mt.disconnect(conn)
