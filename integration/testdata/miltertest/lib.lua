-- What the scripts beside this one share. "socket" comes from the command line.

-- fail ends the script; miltertest does not print an error's text by itself.
function fail(what)
	mt.echo("FAIL " .. what)
	error(what)
end

function dial()
	local conn = mt.connect(socket)
	if conn == nil then
		fail("mt.connect: " .. socket)
	end
	return conn
end

-- expect runs a step and compares the milter's reply.
function expect(what, conn, result, reply)
	if result ~= nil then
		fail(what .. ": " .. tostring(result))
	end
	local got = mt.getreply(conn)
	if got ~= reply then
		fail(what .. ": reply '" .. string.char(got) .. "', want '" .. string.char(reply) .. "'")
	end
end

-- eoh ends the header; miltertest may not send it to a milter that did not want
-- it, and answers that with an error which ends the script.
function eoh(conn)
	if not mt.test_option(conn, SMFIP_NOEOH) then
		expect("eoh", conn, mt.eoh(conn), SMFIR_CONTINUE)
	end
end

function check(what, fine)
	if not fine then
		fail(what)
	end
end

-- upto runs the steps of a mail before the one named, all answered with continue.
function upto(stop, conn, helo, from)
	local steps = {
		{ "connect", function() return mt.conninfo(conn, "client.example.org", "192.0.2.7") end },
		{ "helo", function() return mt.helo(conn, helo or "client.example.org") end },
		{ "mail", function()
			mt.macro(conn, SMFIC_MAIL, "i", "QID1")
			return mt.mailfrom(conn, from or "<a@example.org>")
		end },
		{ "rcpt", function() return mt.rcptto(conn, "<b@example.org>") end },
		{ "data", function() return mt.data(conn) end },
		{ "header", function() return mt.header(conn, "Subject", " test") end },
	}
	for _, step in ipairs(steps) do
		if step[1] == stop then
			return
		end
		expect(step[1], conn, step[2](), SMFIR_CONTINUE)
	end
end
