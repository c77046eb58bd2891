-- What bindgate asks of the server: kick, probe, snapshot, mode, revoke, hello.

local st = require "util.stanza";
local id = require "util.id";
local filters = require "util.filters";
local timer = require "util.timer";
local now = require "util.time".now;
local traceback = debug.traceback;
local xpcall = require "util.xpcall".xpcall;

local xmlns_ping = "urn:xmpp:ping";
local buckets = 4096;
local part_sessions = 100;
local marker = "@sessions@";
local most_probes = 50;

return function (gate)
	local ns, host, component = gate.ns, gate.host, gate.component;
	local words, registry, link, kick, bind = gate.words, gate.registry, gate.link, gate.kick, gate.bind;
	local int, whole = words.int, words.whole;
	local requests = {};
	local probes = {};

	local function answer(origin, stanza) origin.send(stanza); return true; end
	local function refuse(origin, stanza, kind, condition, text)
		return answer(origin, st.error_reply(stanza, kind, condition, text));
	end
	local function bad(origin, stanza, text)
		return refuse(origin, stanza, "modify", "bad-request", text);
	end

	local handlers = { set = {}, get = {} };

	function handlers.get.hello(origin, stanza)
		return answer(origin, st.reply(stanza):tag("hello", link.hello()));
	end

	function handlers.set.kick(origin, stanza, node)
		local k, wrong = kick.parse(node);
		if not k then return bad(origin, stanza, "kick: "..wrong); end
		local r = registry.bound_by_sid(k.sid);
		if r then
			if kick.now(r, k) then return answer(origin, st.reply(stanza)); end
			return refuse(origin, stanza, "wait", "internal-server-error", "another module of the server keeps the session");
		elseif bind.remember(k) then
			return answer(origin, st.reply(stanza):tag("kick", { xmlns = ns, pending = "1" }));
		end
		return refuse(origin, stanza, "cancel", "item-not-found", "no session has this sid");
	end

	function handlers.set.mode(origin, stanza, node)
		local value = node.attr.value;
		if not gate.modes[value] then return bad(origin, stanza, "mode: the attribute value must be enforce, observe or off"); end
		local ok, err = gate.set_mode(value);
		if not ok then
			module:log("error", "the mode cannot be kept: %s", tostring(err));
			return refuse(origin, stanza, "wait", "internal-server-error", "the mode is set, but cannot be kept over a restart");
		end
		return answer(origin, st.reply(stanza));
	end

	function handlers.set.revoke(origin, stanza, node)
		local revoked, wrong = gate.revoke.request(node);
		if not revoked then return bad(origin, stanza, "revoke: "..wrong); end
		return answer(origin, st.reply(stanza):add_child(revoked));
	end

	-- One probe of one session: r.heard is set while any runs, and called by whatever shows a sign of life.
	local function listen(r, probe)
		r.listeners = r.listeners or {};
		r.listeners[probe] = true;
		if r.heard then return; end
		local function on_bytes(data) if r.heard then r.heard(); end return data; end
		filters.add_filter(r.session, "bytes/in", on_bytes, 1000);
		local session = r.session;
		function r.heard(verdict)
			local listeners = r.listeners;
			r.heard, r.listeners = nil, nil;
			timer.add_task(0, function () filters.remove_filter(session, "bytes/in", on_bytes); end); -- not from within
			for listener in pairs(listeners) do listener.settle(r.sid, verdict or "alive"); end
		end
	end

	local function send_probe(r)
		local session = r.session;
		if session.smacks then session.send(st.stanza("r", { xmlns = session.smacks })); end
		if session.destroyed then return; end
		session.send(st.iq({ type = "get", id = "bindgate-"..id.short(), from = host, to = session.full_jid }):tag("ping", { xmlns = xmlns_ping }));
	end

	function handlers.get.probe(origin, stanza, node)
		local timeout = whole(node.attr.timeout_ms, 1, 60000);
		if not timeout then return bad(origin, stanza, "probe: the attribute timeout_ms must be a whole number from 1 to 60000"); end
		local sids = {};
		for child in node:childtags("session", ns) do
			if not child.attr.sid or child.attr.sid == "" then return bad(origin, stanza, "probe: a session has no sid"); end
			sids[#sids + 1] = child.attr.sid;
		end
		if #sids == 0 then return bad(origin, stanza, "probe: there is no session to probe"); end
		if #sids > most_probes then return bad(origin, stanza, "probe: at most 50 sessions"); end

		local verdicts, left = {}, 0;
		local probe = {};
		for _, sid in ipairs(sids) do
			if verdicts[sid] == nil then verdicts[sid], left = false, left + 1; end
		end
		local function finish()
			if probe.timer then probe.timer:stop(); end
			probes[probe] = nil;
			local reply = st.reply(stanza):tag("probe", { xmlns = ns });
			for _, sid in ipairs(sids) do reply:tag("session", { sid = sid, verdict = verdicts[sid] }):up(); end
			module:send(reply);
		end
		function probe.settle(sid, verdict)
			if verdicts[sid] ~= false then return; end
			verdicts[sid], left = verdict, left - 1;
			if left == 0 then finish(); end
		end
		function probe.give_up()
			for _, sid in ipairs(sids) do
				local r = registry.bound_by_sid(sid);
				if r and r.listeners then
					r.listeners[probe] = nil;
					if not next(r.listeners) then r.heard(); end
				end
				probe.settle(sid, "silent");
			end
		end
		probes[probe] = true;
		probe.timer = module:add_timer(timeout / 1000, probe.give_up);
		local asked = {};
		for _, sid in ipairs(sids) do
			local r = registry.bound_by_sid(sid);
			if not r then
				probe.settle(sid, "gone");
			elseif r.session.hibernating then
				probe.settle(sid, "hibernating");
			elseif verdicts[sid] == false and not asked[r] then
				asked[r] = true;
				listen(r, probe);
				send_probe(r);
			end
		end
		return true;
	end

	function handlers.get.snapshot(origin, stanza, node)
		local first = whole(node.attr.first, 0, buckets - 1);
		local count = first and whole(node.attr.count, 1, buckets - first);
		if not first then return bad(origin, stanza, "snapshot: the attribute first must be a whole number from 0 to 4095"); end
		if not count then return bad(origin, stanza, "snapshot: the attribute count must be a whole number from 1 to "..int(buckets - first)); end
		local digest = node.attr.digest;
		if digest and not digest:match("^%d+%-%x%x%x%x%x%x%x%x%x%x%x%x$") then
			return bad(origin, stanza, "snapshot: the attribute digest must be a number, a dash and 12 hexadecimal digits");
		end
		local all = registry.buckets();
		local attr = { xmlns = ns, first = int(first), total = int(registry.total()), epoch = gate.epoch, seq = int(registry.seq) };
		if digest then
			local n, sum = 0, 0;
			for i = first, first + count - 1 do
				local bucket = all[i];
				if bucket then n, sum = n + bucket.n, (sum + bucket.sum) % 2^48; end
			end
			-- In two halves: %x takes 32 bits safely on every Lua.
			local low = sum % 2^24;
			if digest == ("%d-%06x%06x"):format(n, (sum - low) / 2^24, low) then
				attr.count, attr.same = int(count), "1";
				return answer(origin, st.reply(stanza):tag("snapshot", attr));
			end
		end
		local part, at, sessions, covered = {}, now(), 0, 0;
		while covered < count and sessions < part_sessions do
			local bucket = all[first + covered];
			if bucket then
				for _, r in ipairs(registry.listed(bucket)) do part[#part + 1] = registry.write(r, at); end
				sessions = sessions + bucket.n;
			end
			covered = covered + 1;
		end
		attr.count = int(covered);
		local reply = tostring(st.reply(stanza):tag("snapshot", attr):text(marker));
		local before, behind = reply:find(marker, 1, true);
		origin.send(reply:sub(1, before - 1)..table.concat(part)..reply:sub(behind + 1));
		return true;
	end

	-- A part makes little garbage, and the collector waits until it is done: the collector's own pauses grow with the server's
	-- memory (0.2 s with 15,000 sessions) and belong to no part.
	local function without_collector(f, ...)
		if collectgarbage("isrunning") ~= true then return xpcall(f, traceback, ...); end
		collectgarbage("stop");
		local ok, ret = xpcall(f, traceback, ...);
		collectgarbage("restart");
		return ok, ret;
	end

	local function on_iq(event)
		local origin, stanza = event.origin, event.stanza;
		local kind, from = stanza.attr.type, stanza.attr.from;
		if kind == "result" or kind == "error" then
			if from ~= component then return; end
			return bind.answer(stanza) or link.hello_answer(stanza) or nil;
		end
		local node = stanza.tags[1];
		if not node or node.attr.xmlns ~= ns then return; end
		if from ~= component then
			return refuse(origin, stanza, "auth", "forbidden", "only the component "..component.." may ask");
		end
		local handler = handlers[kind] and handlers[kind][node.name];
		if not handler then
			return bad(origin, stanza, "no request of the gate protocol: "..tostring(kind).." "..words.clean(node.name, 64));
		end
		local ok, ret;
		if handler == handlers.get.snapshot then
			ok, ret = without_collector(handler, origin, stanza, node);
		else
			ok, ret = xpcall(handler, traceback, origin, stanza, node);
		end
		if ok then return ret; end
		module:log("error", "%s failed: %s", node.name, ret);
		return refuse(origin, stanza, "wait", "internal-server-error", "the request failed, see the server's log");
	end
	module:hook("iq/host", on_iq, 10);

	-- Probes that still run are answered as things stand.
	function requests.stop()
		for probe in pairs(probes) do probe.give_up(); end
	end

	return requests;
end
