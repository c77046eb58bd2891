-- The hold on a bind: bindgate is asked, the client waits, the answer or the failure policy is carried out.

local st = require "util.stanza";
local async = require "util.async";
local id = require "util.id";
local timer = require "util.timer";
local filters = require "util.filters";
local resourceprep = require "util.encodings".stringprep.resourceprep;
local now = require "util.time".now;
local traceback = debug.traceback;
local xpcall = require "util.xpcall".xpcall;
local has_poll, poll = pcall(require, "util.poll");

local xmlns_bind = "urn:ietf:params:xml:ns:xmpp-bind";
local xmlns_stanza_errors = "urn:ietf:params:xml:ns:xmpp-stanzas";
local most_hold_ms = 4000;
local sweep_seconds = 0.25;

local error_types = { auth = true, cancel = true, continue = true, modify = true, wait = true };
local conditions = { -- and their usual type
	["conflict"] = "cancel"; ["resource-constraint"] = "wait"; ["not-allowed"] = "cancel"; ["service-unavailable"] = "wait";
};
-- What the failure policy's denial says; bindgate, which has all other texts, cannot be asked.
local unavailable = {
	en = "Logins cannot be checked at the moment. Please try again later.";
	ja = "現在ログインを確認できません。しばらくしてからもう一度お試しください。";
	zh = "暂时无法确认登录，请稍后再试。";
};

return function (gate)
	local ns, host, component = gate.ns, gate.host, gate.component;
	local words, registry, link, kick = gate.words, gate.registry, gate.link, gate.kick;
	local clean, int, flag, whole = words.clean, words.int, words.flag, words.whole;

	local bind = {};
	local asks = {};     -- IQ id → ask without an answer
	local holds = {};    -- ask → true: denied, the answer is delayed
	local waiting = {};  -- sid → record that asks or was allowed, and is not bound
	local late = {};     -- record → kick that waits for its bind to be told
	local allowed = 0;   -- records in waiting that were allowed
	local sweeping = false;
	local ask_count = 0;
	local id_prefix = "a"..id.short().."-";
	local replacing;     -- the record that was let in last, for replaces
	local watcher = has_poll and poll.new and poll.new() or nil;

	-- The policy of the server for a taken resource; unless it is to close the old session, we do that before the bind.
	local policy = module:get_option_string("conflict_resolve", "kick_old");
	local core_closes_old = policy ~= "random" and policy ~= "increment" and policy ~= "kick_new";

	-- Whether r ends because a newcomer was just let in to its resource. BOSH does not say so.
	function bind.replaces(r)
		return replacing and replacing ~= r and replacing.user == r.user and replacing.wanted == r.resource;
	end

	-- The language of a BOSH stream is in the request that begins it (XEP-0124 §7); mod_bosh drops it and takes each later body
	-- for a stream in "en".
	module:hook_global("bosh-session", gate.guarded("BOSH session", function (event)
		local body = event.request and event.request.body;
		if type(body) ~= "string" then return; end
		event.session.bindgate_lang = body:sub(1, 4096):match("<[%w:]*body%s[^>]*xml:lang%s*=%s*[\"']([%w_-]+)[\"']");
	end));

	local function read_request(r, node, lang)
		r.lang = clean(lang, 64);
		local takeover = node:get_child("takeover", ns);
		r.takeover = takeover and clean(takeover.attr.token, 512);
	end

	-- Above core's handler of the bind request (0): what only the request shows.
	module:hook("stanza/iq/"..xmlns_bind..":bind", gate.guarded("bind request", function (event)
		local session, stanza = event.origin, event.stanza;
		if stanza.attr.type ~= "set" or not session.username or session.resource then return; end
		local r = registry.of(session);
		local node = stanza.tags[1];
		read_request(r, node, stanza.attr["xml:lang"]);
		if session.bosh_version and (not r.lang or r.lang == "en") then r.lang = clean(session.bindgate_lang, 64) or r.lang; end
		local named = node:get_child("resource");
		r.named = named and #named.tags == 0 and (named[1] or "") ~= "";
	end), 10);

	-- The same of a bind within the authentication (mod_sasl2_bind2 of prosody-modules), before that is done (100). Each element has the stream's language.
	module:hook("stanza/urn:xmpp:sasl:2:authenticate", gate.guarded("authentication", function (event)
		if not event.origin.bosh_version then event.origin.bindgate_lang = event.stanza.attr["xml:lang"]; end
	end), 200);
	module:hook("sasl2/c2s/success", gate.guarded("bind within the authentication", function (event)
		local node = event.session.sasl2_bind_request;
		if node then read_request(registry.of(event.session), node, event.session.bindgate_lang); end
	end), 150);

	local function tls_version(session)
		local conn = session.secure and session.conn;
		local socket = conn and conn.socket and conn:socket();
		local info = socket and socket.info and socket:info();
		return type(info) == "table" and clean(info.protocol, 32) or nil;
	end

	-- The language filter and <denied/>: core writes the error, this completes it on its way out, once. The attributes of
	-- <text/> are replaced, not changed, because all error replies share one table.
	local function complete_error(session, denial)
		local used = false;
		local function find_error(stanza)
			if stanza.attr.type == "error" and stanza.name == "iq" then
				for _, child in ipairs(stanza.tags) do
					if child.name == "error" then return child; end
				end
			end
			return stanza:find("{urn:xmpp:bind:0}failed/error") or nil;
		end
		local function complete(stanza)
			if used or not st.is_stanza(stanza) then return stanza; end
			local node = find_error(stanza);
			if not node then return stanza; end
			used = true;
			for _, child in ipairs(node.tags) do
				if child.name == "text" and child.attr.xmlns == xmlns_stanza_errors then
					child.attr = { xmlns = xmlns_stanza_errors, ["xml:lang"] = denial.lang };
				end
			end
			local denied = st.stanza("denied", { xmlns = ns, code = denial.code, retry_after = denial.retry_after, token = denial.token });
			for _, child in ipairs(denial.sessions or {}) do
				denied:add_child(st.clone(child));
			end
			node:add_direct_child(denied);
			return stanza;
		end
		filters.add_filter(session, "stanzas/out", complete, 10);
		-- Not from within: a filter that removes itself while the list is run breaks WebSocket sessions on 0.12.
		timer.add_task(0, function ()
			used = true;
			filters.remove_filter(session, "stanzas/out", complete);
		end);
	end

	local function refuse(event, denial)
		event.error = { type = denial.type, condition = denial.condition, text = denial.text };
		complete_error(event.session, denial);
		return false;
	end

	local function by_policy(event, r, why, ask_id)
		link.alone(why);
		if gate.mode == "observe" or gate.on_failure == "allow" then return nil; end
		if ask_id then
			registry.emit("gone", { user = r.user, sid = r.sid, ask_id = ask_id, resource = r.wanted });
		end
		local lang = ((r.lang or ""):match("^%a+") or "en"):lower();
		if not unavailable[lang] then lang = "en"; end
		return refuse(event, {
			type = "wait", condition = "service-unavailable", code = "unavailable", text = unavailable[lang], lang = lang,
		});
	end

	local function finish(a, outcome)
		if a.finished then return; end
		a.finished, a.outcome = true, outcome;
		asks[a.iq] = nil;
		a.timer:stop();
		a.done();
	end

	-- Asks and waits. Returns the ask with outcome: the answer's element, or a text that says why there is none.
	local function ask(session, r)
		ask_count = ask_count + 1;
		local a = { iq = id_prefix..int(ask_count), ask_id = gate.epoch.."-"..int(ask_count), connection = link.connection };
		local iq = st.iq({ type = "get", id = a.iq, from = host, to = component }):tag("ask", {
			xmlns = ns, ask_id = a.ask_id, deadline_ms = int(gate.timeout * 1000), user = r.user, sid = r.sid,
			resource = r.wanted, chosen = flag(r.chosen), ip = clean(session.ip, 64), secure = flag(session.secure),
			tls = tls_version(session), transport = r.transport, client_id = r.client_id, client = r.client,
			lang = r.lang, takeover = r.takeover, epoch = gate.epoch, seq = int(registry.seq),
		});
		iq.tags[1].attr.more = registry.list(iq, r.user);

		local wait, done = async.waiter();
		a.done = done;
		a.timer = module:add_timer(gate.timeout, function ()
			link.missed();
			finish(a, "bindgate did not answer in time");
		end);
		asks[a.iq] = a;
		module:send(iq);
		wait();
		return a;
	end

	-- An answer to an ask. Returns true if the stanza was one, also when it comes too late.
	function bind.answer(stanza)
		local iq = stanza.attr.id;
		local a = asks[iq];
		if not a then return iq and iq:sub(1, #id_prefix) == id_prefix; end
		link.answered(stanza.attr.type ~= "error");
		if stanza.attr.type == "error" then
			finish(a, "bindgate answered with an error");
			return true;
		end
		finish(a, stanza:get_child("allow", ns) or stanza:get_child("deny", ns) or "bindgate's answer was not understood");
		return true;
	end

	-- Ends the asks that went out before a connection, undecided.
	function bind.fail_asks(connection, why)
		local old = {};
		for _, a in pairs(asks) do
			if a.connection < connection then old[#old + 1] = a; end
		end
		for _, a in ipairs(old) do finish(a, why); end
	end

	-- While a bind is held nothing is read from its connection, so its end goes unseen. If there is something to read, it is
	-- read now; a client that has left is destroyed by that.
	local function look_for_end(session)
		local conn = session.conn;
		if not watcher or not conn or session.bosh_version or not conn.getfd then return; end
		local fd = conn:getfd();
		if not fd or fd < 0 or not watcher:add(fd, true, false) then return; end
		local readable = watcher:wait(0) == fd;
		watcher:del(fd);
		if not readable then return; end
		conn:resume();
		local wait, done = async.waiter();
		timer.add_task(0, function () timer.add_task(0, done); end); -- the sockets are read between two runs of the timers
		wait();
	end

	local function hold(ms)
		if ms == 0 then return; end
		local wait, done = async.waiter();
		local h = {};
		function h.release()
			if holds[h] then
				holds[h] = nil;
				done();
			end
		end
		holds[h] = true;
		module:add_timer(ms / 1000, h.release);
		wait();
	end

	local function deny(event, r, node)
		hold(math.min(whole(node.attr.hold_ms, 0, 999999999) or 0, most_hold_ms));
		if event.session.destroyed then return false; end
		local condition = conditions[node.attr.condition] and node.attr.condition or "resource-constraint";
		local text = node:get_child("text", ns);
		local sessions = {};
		for child in node:childtags("session", ns) do sessions[#sessions + 1] = child; end
		return refuse(event, {
			type = error_types[node.attr.type] and node.attr.type or conditions[condition], condition = condition,
			code = clean(node.attr.code, 64), token = clean(node.attr.token, 64), retry_after = whole(node.attr.retry_after, 0, 999999999) and node.attr.retry_after,
			text = text and clean(text:get_text(), 2000), lang = text and clean(text.attr["xml:lang"], 64), sessions = sessions,
		});
	end

	local function gone(r, ask_id)
		registry.emit("gone", { user = r.user, sid = r.sid, ask_id = ask_id, resource = r.wanted });
		return false;
	end

	-- Nothing tells that another module refused a bind that we let in: what was allowed and is not bound soon is looked at.
	local function forget(r)
		waiting[r.sid] = nil;
		if r.decision then allowed = allowed - 1; end
		r.decision = nil;
		if replacing == r then replacing = nil; end
		for _, other in ipairs(r.arms or {}) do kick.disarm(other); end
		r.arms = nil;
	end

	local function sweep()
		sweeping = false;
		for _, r in pairs(waiting) do
			local thread = r.session.thread;
			if r.decision and (r.session.destroyed or not (thread and thread.state ~= "ready")) then
				local ask_id = r.decision.ask_id;
				forget(r);
				gone(r, ask_id);
			end
		end
		if allowed > 0 then bind.sweep_soon(); end
	end

	function bind.sweep_soon()
		if sweeping then return; end
		sweeping = true;
		module:add_timer(sweep_seconds, gate.guarded("sweep", sweep));
	end

	local function allow(r, a, node)
		local kicks = {};
		if gate.mode == "enforce" then
			for child in node:childtags("kick", ns) do
				local k, wrong = kick.parse(child);
				if k then
					kicks[#kicks + 1] = k;
				else
					module:log("warn", "a kick in an answer is malformed: %s", wrong);
				end
			end
		end
		r.decision = { ask_id = a.ask_id, kicks = kicks };
		allowed = allowed + 1;
		local account = prosody.hosts[host].sessions[r.user];
		local taken = account and account.sessions[r.wanted];
		taken = taken and taken.bindgate;
		if taken then
			for _, k in ipairs(kicks) do
				if k.sid == taken.sid then
					if core_closes_old then
						kick.arm(taken, k);
						r.arms = { taken };
					else
						kick.now(taken, k);
					end
				end
			end
		end
		bind.sweep_soon();
		return nil;
	end

	local function pre_bind(event)
		local session = event.session;
		local r = registry.of(session);
		local prepared = event.resource and resourceprep(event.resource, true);
		r.chosen = prepared and prepared ~= "" and r.named ~= false;
		r.made = not r.chosen;
		if not prepared or prepared == "" then prepared = id.short(); end
		event.resource = prepared;
		r.user, r.wanted, r.tried_at = session.username, prepared, now();
		local user_agent = session.sasl_handler and session.sasl_handler.user_agent;
		r.client_id = clean(session.client_id, 128) or r.client_id;
		r.client = clean(type(user_agent) == "table" and user_agent.software, 200) or r.client;
		if waiting[r.sid] then forget(r); end
		r.kick, replacing = nil, r;
		if gate.mode == "off" then return nil; end
		local usable, why = false, "the bind cannot be held";
		if async.ready() then usable, why = link.usable(); end
		if not usable then return by_policy(event, r, why); end

		waiting[r.sid] = r;
		local a = ask(session, r);
		if not session.destroyed and type(a.outcome) == "table" and a.outcome.name == "allow" then look_for_end(session); end
		r.tried_at, replacing = now(), r; -- others may have come while we waited
		local outcome = a.outcome;
		if session.destroyed then
			waiting[r.sid] = nil;
			return gone(r, a.ask_id);
		elseif type(outcome) == "string" then
			waiting[r.sid] = nil;
			return by_policy(event, r, outcome, a.ask_id);
		elseif outcome.name == "allow" then
			return allow(r, a, outcome);
		end
		waiting[r.sid], replacing = nil, nil;
		if gate.mode ~= "enforce" then return nil; end
		return deny(event, r, outcome);
	end

	-- After those that rewrite the resource (0).
	module:hook("pre-resource-bind", function (event)
		local ok, ret = xpcall(pre_bind, traceback, event);
		if ok then return ret; end
		module:log("error", "bind failed: %s", ret);
		local r = event.session.bindgate;
		if r and waiting[r.sid] then forget(r); end
		if gate.on_failure == "allow" then return nil; end
		event.error = { type = "wait", condition = "service-unavailable" };
		return false;
	end, -100);

	-- Whether the record's session asks now, or was allowed and is not bound.
	function bind.waits(r)
		return waiting[r.sid] == r;
	end

	-- A kick for a session that is not bound yet; it is carried out when it binds. Returns whether there is such a session.
	function bind.remember(k)
		local r = waiting[k.sid];
		if not r then return false; end
		r.kick = k;
		return true;
	end

	local function carry_out_late(r)
		local k = late[r];
		late[r] = nil;
		if k then kick.now(r, k); end
	end

	-- The newcomer is bound; its result is not written yet.
	module:hook("resource-bind", gate.guarded("bound", function (event)
		local session = event.session;
		local r = registry.bind(session);
		local decision, remembered = r.decision, r.kick;
		r.kick, replacing = nil, nil;
		if waiting[r.sid] then forget(r); end
		r.decision = nil;
		for _, k in ipairs(decision and decision.kicks or {}) do
			local other = registry.bound_by_sid(k.sid);
			if other and other ~= r then
				kick.now(other, k);
			elseif not other then
				bind.remember(k);
			end
		end
		local attr = registry.describe(r, now());
		attr.ask_id = decision and decision.ask_id;
		if not decision then attr.takeover = r.takeover; end
		r.takeover = nil;
		registry.emit("bind", attr);
		if remembered then
			late[r] = remembered; -- core is still at work on this session: next
			module:add_timer(0, function () carry_out_late(r); end);
		end
	end), 100);

	-- Everything that waits goes on by the failure policy, and is told before this load ends.
	function bind.stop()
		link.stop();
		bind.fail_asks(math.huge, "the module was unloaded");
		for h in pairs(holds) do h.release(); end
		for r in pairs(late) do carry_out_late(r); end
		for _, r in pairs(waiting) do forget(r); end
	end

	return bind;
end
