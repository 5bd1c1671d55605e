-- Each phase refuses when its argument says so, and continues otherwise.
dofile("lib.lua")

local conn = dial()
expect("connect", conn, mt.conninfo(conn, "bad.example.org", "192.0.2.66"), SMFIR_REPLYCODE)
mt.disconnect(conn)

conn = dial()
upto("helo", conn)
expect("helo", conn, mt.helo(conn, "bad"), SMFIR_REPLYCODE)
mt.disconnect(conn)

conn = dial()
upto("mail", conn)
expect("mail", conn, mt.mailfrom(conn, "<bad@example.org>", "SIZE=100"), SMFIR_REPLYCODE)
-- The connection goes on.
expect("mail", conn, mt.mailfrom(conn, "<a@example.org>", "SIZE=100"), SMFIR_CONTINUE)
expect("rcpt", conn, mt.rcptto(conn, "<bad@example.org>"), SMFIR_REPLYCODE)
expect("rcpt", conn, mt.rcptto(conn, "<b@example.org>", "NOTIFY=NEVER"), SMFIR_CONTINUE)
expect("data", conn, mt.data(conn), SMFIR_CONTINUE)
mt.disconnect(conn)

conn = dial()
upto("data", conn, nil, "<nodata@example.org>")
expect("data", conn, mt.data(conn), SMFIR_REPLYCODE)
mt.disconnect(conn)

conn = dial()
upto("data", conn)
expect("unknown", conn, mt.unknown(conn, "XYZZY 1"), SMFIR_REPLYCODE)
mt.disconnect(conn)

-- Content phases are answered at the end of the message.
for _, case in ipairs({ { "X-Bad", "b", "no header" }, { "X-Eoh", "b", "no eoh" }, { "X-A", "BAD\r\n", "no body" }, { "X-Eom", "b", "no eom" } }) do
	conn = dial()
	upto("header", conn)
	expect("header", conn, mt.header(conn, case[1], " x"), SMFIR_CONTINUE)
	eoh(conn)
	expect("body", conn, mt.bodystring(conn, case[2]), SMFIR_CONTINUE)
	expect("eom", conn, mt.eom(conn), SMFIR_REPLYCODE)
	check(case[3], mt.eom_check(conn, MT_SMTPREPLY, "550", "5.7.1", case[3]))
	mt.disconnect(conn)
end
