-- What well-meaning MTAs do: aborts in every state, sudden ends, unknown families.
dofile("lib.lua")

local conn = dial()
mt.negotiate(conn, nil, nil, nil)
mt.abort(conn)
upto("mail", conn)
mt.abort(conn)
mt.abort(conn)
expect("mail", conn, mt.mailfrom(conn, "<a@example.org>"), SMFIR_CONTINUE)
mt.abort(conn)
expect("mail", conn, mt.mailfrom(conn, "<a@example.org>"), SMFIR_CONTINUE)
expect("rcpt", conn, mt.rcptto(conn, "<b@example.org>"), SMFIR_CONTINUE)
mt.disconnect(conn, false)

conn = dial()
expect("connect", conn, mt.conninfo(conn, "unknown", "unspec"), SMFIR_CONTINUE)
expect("mail", conn, mt.mailfrom(conn, "<>"), SMFIR_CONTINUE)
mt.disconnect(conn)

-- An old MTA: version 2, its actions and steps.
conn = dial()
if mt.negotiate(conn, 2, 63, 127) ~= nil then
	fail("version 2")
end
upto("data", conn)
expect("header", conn, mt.header(conn, "Subject", "edit"), SMFIR_CONTINUE)
eoh(conn)
expect("body", conn, mt.bodystring(conn, "a body\r\n"), SMFIR_CONTINUE)
if mt.eom(conn) ~= nil then
	fail("eom")
end
check("add", mt.eom_check(conn, MT_HDRADD, "X-Added"))
mt.disconnect(conn)
