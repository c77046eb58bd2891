-- Every session of the host under its sid and its bucket, kept right by events, so that nothing ever walks all sessions;
-- and the events that tell bindgate what happens to them.
--
-- A record is a table on the session (session.bindgate). It stays over hibernation, resumption and reloads, because Prosody
-- keeps the session's table. Its fields: sid, user, resource, session, bucket, mark (its part of the digest), bound_at, input
-- (time of the last stanza), transport, lang, client_id, client, head (its first attributes, written); ending (we are ending it); heard (a probe listens).

local st = require "util.stanza";
local id = require "util.id";
local add_filter = require "util.filters".add_filter;
local escape = st.xml_escape;
local sha256 = require "util.hashes".sha256;
local now = require "util.time".now;
local sessionmanager_hosts = prosody.hosts;

local layout = 1;
local slice = 200; -- sessions taken in at once on load
local most_listed = 50;

return function (gate)
	local words = gate.words;
	local clean, int, flag = words.clean, words.int, words.flag;
	local ns, host, component, epoch = gate.ns, gate.host, gate.component, gate.epoch;

	local registry = { seq = 0, bound = {} };
	local reg = { layout = layout, by_sid = {}, buckets = {}, total = 0 };
	local todo; -- sessions of an earlier time that are still to be taken in

	-- One function for all sessions and all loads: a reload finds it in place.
	local shared = module:shared("/*/bindgate/filters");
	shared.input = shared.input or function (stanza, session)
		local r = session.bindgate;
		if r then
			r.input = now();
			if r.heard then r.heard(); end
		end
		return stanza;
	end
	local on_input = shared.input;

	local function state_of(r)
		return r.session.hibernating and "hibernating" or "active";
	end

	local function mark_of(r)
		local a, b, c, d, e, f = sha256(r.sid.."\n"..r.resource.."\n"..state_of(r)):byte(1, 6);
		return ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f;
	end

	local function bucket_of(user)
		local a, b = sha256(user.."@"..host):byte(1, 2);
		return a * 16 + (b - b % 16) / 16;
	end

	local function transport_of(session)
		return session.bosh_version and "bosh" or session.websocket_request and "websocket" or "tcp";
	end

	-- The record of a session, made if it has none. user is set, as soon as the client is authenticated.
	function registry.of(session)
		local r = session.bindgate;
		if not r or r.layout ~= layout then
			r = { layout = layout, sid = id.medium(), session = session, user = session.username, transport = transport_of(session) };
			session.bindgate = r;
		end
		return r;
	end

	local function enter(r)
		local session = r.session;
		r.user, r.resource, r.head = session.username, session.resource, nil;
		r.bound_at = r.bound_at or session.conntime or now(); -- bound before this module was there: when it connected
		r.input = r.input or r.bound_at;
		r.bucket = r.bucket or bucket_of(r.user);
		r.mark = mark_of(r);
		local bucket = reg.buckets[r.bucket];
		if not bucket then
			bucket = { n = 0, sum = 0, records = {} };
			reg.buckets[r.bucket] = bucket;
		end
		bucket.n = bucket.n + 1;
		bucket.sum = (bucket.sum + r.mark) % 2^48;
		bucket.records[r] = true;
		reg.total = reg.total + 1;
		reg.by_sid[r.sid] = r;
		add_filter(session, "stanzas/in", on_input, 100);
	end

	local function leave(r)
		local bucket = reg.buckets[r.bucket];
		bucket.n = bucket.n - 1;
		bucket.sum = (bucket.sum - r.mark) % 2^48;
		bucket.records[r] = nil;
		if bucket.n == 0 then reg.buckets[r.bucket] = nil; end
		reg.total = reg.total - 1;
		reg.by_sid[r.sid] = nil;
	end

	local function restate(r)
		local bucket = reg.buckets[r.bucket];
		bucket.sum = (bucket.sum - r.mark) % 2^48;
		r.mark = mark_of(r);
		bucket.sum = (bucket.sum + r.mark) % 2^48;
	end

	-- A session that was bound before this load knew of it.
	local function adopt(session)
		if session.destroyed or not session.resource or not session.username then return; end
		local r = registry.of(session);
		if not reg.by_sid[r.sid] then
			r.session = session;
			enter(r);
		end
		return r;
	end

	-- Takes in all that is still to do: an answer about all sessions needs it.
	function registry.complete(limit)
		if not todo then return; end
		for _ = 1, limit or #todo do
			local session = table.remove(todo);
			if not session then break; end
			adopt(session);
		end
		if #todo == 0 then todo = nil; end
	end

	function registry.save()
		registry.complete();
		return reg;
	end

	-- After a reload the registry is taken over as it is; else the host's sessions are taken in by slices.
	function registry.load(saved)
		if saved and saved.layout == layout then
			reg = saved;
			return;
		end
		todo = {};
		for _, user in pairs(sessionmanager_hosts[host].sessions) do
			for _, session in pairs(user.sessions) do
				todo[#todo + 1] = session;
			end
		end
	end

	function registry.complete_later(done)
		registry.complete(slice);
		if not todo then return done(); end
		module:add_timer(0, function () registry.complete_later(done); end);
	end

	function registry.bound_by_sid(sid)
		registry.complete();
		return reg.by_sid[sid];
	end

	function registry.total()
		return reg.total + (todo and #todo or 0);
	end

	function registry.buckets()
		registry.complete();
		return reg.buckets;
	end

	local function is_older(a, b)
		return a.bound_at < b.bound_at;
	end

	-- The records of a bucket as a list, oldest first: ages are told in seconds, their order is not lost in them.
	function registry.listed(bucket)
		local list = {};
		for r in pairs(bucket.records) do list[#list + 1] = r; end
		table.sort(list, is_older);
		return list;
	end

	-- The live sessions of an account as a list of records, oldest first.
	function registry.account(user)
		local list = {};
		local account = sessionmanager_hosts[host].sessions[user];
		if account then
			for _, session in pairs(account.sessions) do
				list[#list + 1] = adopt(session);
			end
		end
		table.sort(list, is_older);
		return list;
	end

	local function since(from, at)
		return math.max(0, at - from); -- the clock may have been set back
	end

	-- The attributes of a session, for asks and events.
	function registry.describe(r, at)
		local session = r.session;
		return {
			user = r.user, sid = r.sid, resource = r.resource, state = state_of(r),
			age_seconds = int(since(r.bound_at, at)), idle_seconds = int(since(r.input, at)),
			ip = clean(session.ip, 64), secure = flag(session.secure), transport = r.transport,
			client_id = r.client_id, client = r.client, lang = r.lang, made = flag(r.made),
		};
	end

	-- Adds the live sessions of an account to an ask or an answer, oldest first, as many as may be. Returns "1" if there are others.
	function registry.list(stanza, user)
		local all, at = registry.account(user), now();
		for i = 1, math.min(#all, most_listed) do
			local attr = registry.describe(all[i], at);
			attr.user = nil;
			stanza:tag("session", attr):up();
		end
		return flag(#all > most_listed);
	end

	local function attribute(name, value)
		return value and " "..name.."='"..escape(value).."'" or "";
	end

	-- The same as text, for snapshots, where a stanza's tables would cost the server's thread ten times as much.
	function registry.write(r, at)
		local session = r.session;
		r.head = r.head or "<session user='"..escape(r.user).."' sid='"..r.sid.."' resource='"..escape(r.resource).."'";
		return ("%s state='%s' age_seconds='%d' idle_seconds='%d'%s%s transport='%s'%s%s%s%s/>"):format(
			r.head, state_of(r), math.floor(since(r.bound_at, at)), math.floor(since(r.input, at)),
			attribute("ip", clean(session.ip, 64)), session.secure and " secure='1'" or "", r.transport,
			attribute("client_id", r.client_id), attribute("client", r.client), attribute("lang", r.lang), r.made and " made='1'" or "");
	end

	-- Counts and sends one event. more: further attributes.
	function registry.emit(kind, attr)
		registry.seq = registry.seq + 1;
		if not gate.link.hears() then return; end
		attr.xmlns, attr.kind, attr.epoch, attr.seq = ns, kind, epoch, int(registry.seq);
		module:send(st.message({ from = host, to = component, type = "headline" }):tag("event", attr));
	end
	local emit = registry.emit;

	-- A session has ended: out of the registry, and told.
	local function ended(r, reason)
		leave(r);
		if r.heard then r.heard("gone"); end
		emit("unbind", { user = r.user, sid = r.sid, resource = r.resource, reason = reason });
	end

	-- A bound session of the same address that another took the place of without an unbind: Prosody 0.12 does that to a
	-- hibernating WebSocket session, and to BOSH with stream management. Its resumption is taken from it, and with it the
	-- timer whose end would remove the newcomer from the server's table.
	local function end_shadowed(r)
		local bucket = reg.buckets[r.bucket];
		if not bucket then return; end
		for other in pairs(bucket.records) do
			if other ~= r and other.user == r.user and other.resource == r.resource then
				if not other.session.destroyed then
					module:fire_event("pre-session-close", { session = other.session, reason = "conflict" });
				end
				ended(other, other.ending or "replaced");
			end
		end
	end

	-- Enters a session that has just been bound; the event is told by bind.
	function registry.bind(session)
		local r = registry.of(session);
		if reg.by_sid[r.sid] then return r; end
		r.session, r.bound_at, r.input = session, now(), now();
		r.user, r.resource = session.username, session.resource;
		r.bucket = bucket_of(r.user);
		end_shadowed(r);
		enter(r);
		return r;
	end

	function registry.end_silently_destroyed(r)
		if reg.by_sid[r.sid] == r then ended(r, r.ending or "lost"); end
	end

	module:hook("resource-unbind", gate.guarded("unbind", function (event)
		local session = event.session;
		local r = session.bindgate;
		if not r or reg.by_sid[r.sid] ~= r then return; end
		if r.ending then
			event.error = "conflict"; -- what other modules tell the account's contacts
		end
		local reason = r.ending or words.reason(event.error, session);
		if event.error == nil and gate.bind and gate.bind.replaces(r) then reason = "replaced"; end
		ended(r, reason);
	end), 100);

	module:hook("smacks-hibernation-start", gate.guarded("hibernate", function (event)
		local r = event.origin.bindgate;
		if not r or reg.by_sid[r.sid] ~= r or r.ending then return; end
		restate(r);
		if r.heard then r.heard("hibernating"); end
		emit("hibernate", { user = r.user, sid = r.sid, resource = r.resource, state = "hibernating" });
	end));

	-- 13.0: before the stream that resumes is emptied.
	module:hook_global("c2s-session-updated", function (event)
		local r = event.session.bindgate;
		if r and reg.by_sid[r.sid] == r then r.transport = transport_of(event.from_session); end
	end);

	module:hook("smacks-hibernation-end", gate.guarded("resume", function (event)
		local session = event.resumed;
		if not session then return; end
		local r = session.bindgate;
		if not r or reg.by_sid[r.sid] ~= r then return; end
		r.input = now();
		if not event.origin.destroyed then -- 0.12
			r.transport = transport_of(event.origin);
			event.origin.bindgate = r; -- its filters, which the session took over, may still be handed the old table
		end
		add_filter(session, "stanzas/in", on_input, 100);
		restate(r);
		emit("resume", {
			user = r.user, sid = r.sid, resource = r.resource, state = "active", ip = clean(session.ip, 64),
			secure = flag(session.secure), transport = r.transport,
		});
	end));

	return registry;
end
