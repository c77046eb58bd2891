-- Ending a session for good: conflict with our text and <ended/>, and no resumption, whatever carries the stream.

local st = require "util.stanza";
local timer = require "util.timer";
local sessionmanager = require "core.sessionmanager";
local traceback = debug.traceback;
local xpcall = require "util.xpcall".xpcall;

local xmlns_stream_errors = "urn:ietf:params:xml:ns:xmpp-streams";
local xmlns_streams = "http://etherx.jabber.org/streams";
local xmlns_bosh = "http://jabber.org/protocol/httpbind";

local note_seconds = 60; -- mod_bosh gives up on a silent client after as long

local codes = { takeover = true, kick = true, rule = true, expired = true, blocked = true };

return function (gate)
	local ns = gate.ns;
	local clean = gate.words.clean;
	local registry = gate.registry;
	local kick = { codes = codes };
	local armed = {};

	-- A <kick/> as a table: sid, code, device, platform, at, text, lang. nil and what is wrong, if it is malformed.
	function kick.parse(node)
		local a = node.attr;
		if not a.sid or a.sid == "" then return nil, "the attribute sid is missing"; end
		if a.code and a.code ~= "" and not codes[a.code] then
			return nil, "the attribute code must be takeover, kick, rule, expired or blocked";
		end
		local text = node:get_child("text", ns);
		return {
			sid = a.sid, code = clean(a.code, 32) or "kick", device = clean(a.device, 256), platform = clean(a.platform, 64),
			at = clean(a.at, 64), text = text and clean(text:get_text(), 2000), lang = text and clean(text.attr["xml:lang"], 64),
		};
	end

	local function add_reason(stanza, k)
		stanza:tag("conflict", { xmlns = xmlns_stream_errors }):up();
		if k.text then
			stanza:tag("text", { xmlns = xmlns_stream_errors, ["xml:lang"] = k.lang }):text(k.text):up();
		end
		return stanza:tag("ended", { xmlns = ns, code = k.code, device = k.device, platform = k.platform, at = k.at }):up();
	end

	-- Prosody takes a whole stanza as the reason; BOSH takes it as the whole body.
	local function stream_error(r, k)
		if r.transport == "bosh" then -- not session.bosh_version: that stays when the session is resumed over TCP
			local body = st.stanza("body", {
				xmlns = xmlns_bosh, type = "terminate", condition = "remote-stream-error", ["xmlns:stream"] = xmlns_streams,
			});
			return add_reason(body:tag("stream:error"), k):up();
		end
		local declared = r.transport == "websocket" and xmlns_streams or nil;
		return add_reason(st.stanza("stream:error", { ["xmlns:stream"] = declared }), k);
	end

	-- Writes what is buffered before the connection is closed. Prosody's own close waits for the socket to be writable, and
	-- forgets the buffer if the client happens to have sent something at the same moment ("connection timeout").
	local function close_written(conn)
		if not conn or not conn.onwritable then return; end -- another network backend
		local original = rawget(conn, "close"); -- nil: the class's
		function conn.close(self, ...)
			self.close = original;
			local ok, err = pcall(self.onwritable, self);
			if not ok then module:log("debug", "writing before the close: %s", err); end
			return self:close(...);
		end
	end

	-- A BOSH client that has no request open just now reads why at its next one: in mod_bosh's table a stand-in keeps the place
	-- of the session, gives the answer, and goes.
	local bosh_sessions = module:shared("/*/bosh/sessions");
	local function leave_note(sid, body)
		local note = { type = "c2s_destroyed", destroyed = true, sid = sid, requests = {}, send_buffer = { body }, log = module._log };
		local function go()
			if bosh_sessions[sid] == note then bosh_sessions[sid] = nil; end
		end
		function note.filter(_, data) return data; end
		note.thread = { run = function () end };
		note.close = go;
		function note.send()
			go();
			for _, request in ipairs(note.requests) do request:send(body); end
			return true;
		end
		bosh_sessions[sid] = note;
		timer.add_task(note_seconds, go);
	end

	local function disarm(r)
		local a = r.armed;
		if not a then return; end
		r.armed, armed[r] = nil, nil;
		if r.session.close == a.close then r.session.close = a.original; end
	end

	-- Ends a bound session. Returns whether it is gone.
	function kick.now(r, k)
		local session = r.session;
		disarm(r);
		if not session.destroyed then
			r.ending = "kick";
			local reason, unread_sid = stream_error(r, k), nil;
			if not session.bosh_version then
				close_written(session.conn);
			elseif #session.requests == 0 then
				unread_sid = session.sid;
			end
			local ok, err = xpcall(session.close, traceback, session, reason);
			if unread_sid then leave_note(unread_sid, tostring(reason)); end
			if not ok then module:log("warn", "close of %s failed: %s", tostring(r.sid), err); end
		end
		if not session.destroyed then
			-- 0.12: a hibernating WebSocket session's close does nothing, and BOSH with stream management hibernates on close.
			-- The event takes the resumption token.
			module:fire_event("pre-session-close", { session = session, reason = "conflict" });
			sessionmanager.destroy_session(session, "conflict");
		end
		if not session.destroyed then
			r.ending = nil;
			return false;
		end
		registry.end_silently_destroyed(r);
		return true;
	end

	-- The kick of the session whose resource a newcomer is about to take: core closes it when the newcomer is certain
	-- ("conflict"), and then it ends with our words. Nobody is kicked if core never gets there.
	function kick.arm(r, k)
		disarm(r);
		local session = r.session;
		local a = { original = session.close };
		function a.close(self, reason)
			disarm(r);
			if type(reason) == "table" and reason.condition == "conflict" then
				return kick.now(r, k);
			end
			return self:close(reason);
		end
		r.armed, armed[r] = a, true;
		session.close = a.close;
	end
	kick.disarm = disarm;

	-- 0.12: what ends a hibernating BOSH session leaves its resumption token, and a client that resumes with it gets no answer.
	module:hook("resource-unbind", gate.guarded("revoke", function (event)
		local session = event.session;
		if session.resumption_token then
			module:fire_event("pre-session-close", { session = session, reason = "conflict" });
		end
	end), 50);

	function kick.stop()
		for r in pairs(armed) do disarm(r); end
	end

	return kick;
end
