-- What the scripts beside this one share. "socket" comes from the command line.

function dial()
	local conn = mt.connect(socket)
	if conn == nil then
		error("mt.connect: " .. socket)
	end
	return conn
end

-- expect runs a step and compares the milter's reply.
function expect(what, conn, result, reply)
	if result ~= nil then
		error(what .. ": " .. tostring(result))
	end
	local got = mt.getreply(conn)
	if got ~= reply then
		error(what .. ": reply '" .. string.char(got) .. "', want '" .. string.char(reply) .. "'")
	end
end

function check(what, fine)
	if not fine then
		error(what)
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
		{ "eoh", function() return mt.eoh(conn) end },
		{ "body", function() return mt.bodystring(conn, "body\r\n") end },
	}
	for _, step in ipairs(steps) do
		if step[1] == stop then
			return
		end
		expect(step[1], conn, step[2](), SMFIR_CONTINUE)
	end
end
