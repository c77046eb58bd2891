-- The component's connection: whether it is there, whether it has answered hello on this connection, and the circuit
-- breaker for a peer that takes asks and does not answer.

local st = require "util.stanza";
local id = require "util.id";
local now = require "util.time".now;

local misses_to_open, open_seconds = 5, 5;
local retry_seconds, refused_seconds = 10, 60;
local abilities = "ask kick probe snapshot mode language hold ended revoke";

return function (gate)
	local component, host, ns = gate.component, gate.host, gate.ns;
	local int = gate.words.int;
	local hosts = prosody.hosts;

	local link = { connection = 0 };
	local ready = false;  -- the registry is whole
	local greeted = false; -- hello was sent on this connection
	local agreed = false; -- and answered
	local record;         -- the database of the bindgate that has
	local ending;         -- that of the one whose connection ends in this run of the server's loop
	local replaced;       -- that of the one whose place this connection took
	local hello_id;
	local refused; -- until when hello is not repeated after a refusal
	local misses, open_until, trial_until = 0, 0, 0;
	local lasting; -- why we decide alone, logged once

	local function connected()
		local h = hosts[component];
		local m = h and h.modules and h.modules.component;
		return m and m.connected or false;
	end

	-- Whether events can be sent: after hello, which names the seq they follow.
	function link.hears()
		return greeted and connected();
	end

	-- Whether bindgate can be asked now; if not, why not.
	function link.usable()
		if not connected() then return false, "the component is not connected"; end
		if not agreed then return false, "the component has not answered hello"; end
		if misses >= misses_to_open then
			local at = now();
			if at < open_until or at < trial_until then return false, "the component does not answer"; end
			trial_until = at + gate.timeout + 1;
		end
		return true;
	end

	-- An error is an answer too, but not the end of a trouble.
	function link.answered(decided)
		misses, trial_until = 0, 0;
		if decided and lasting then
			module:log("info", "bindgate answers again");
			lasting = nil;
		end
	end

	function link.missed()
		misses, trial_until = misses + 1, 0;
		if misses >= misses_to_open then
			open_until = now() + open_seconds;
		end
	end

	-- The log hears of a trouble once, and when it is over.
	function link.alone(why)
		if lasting ~= why then
			lasting = why;
			module:log("warn", "logins are decided by bindgate_on_failure=%q: %s", gate.on_failure, why);
		end
	end

	function link.hello()
		return {
			xmlns = ns, version = "1", module = gate.version, server = "Prosody",
			server_version = gate.words.clean(prosody.version, 64), node = "", epoch = gate.epoch,
			seq = int(gate.registry.seq), sessions = int(gate.registry.total()), mode = gate.mode,
			on_failure = gate.on_failure, replaced = replaced, timeout_ms = int(gate.timeout * 1000), abilities = abilities,
		};
	end

	local function greet()
		if not ready or not connected() then return; end
		local connection = link.connection;
		hello_id, refused = "h"..id.short(), nil;
		greeted, agreed = true, false;
		module:send(st.iq({ type = "set", id = hello_id, from = host, to = component }):tag("hello", link.hello()));
		local this_hello = hello_id;
		local function again()
			if link.connection ~= connection or hello_id ~= this_hello or agreed then return; end
			if refused and now() < refused then return refused_seconds; end
			greet();
		end
		module:add_timer(retry_seconds, again);
	end

	-- The answer to our hello. Returns true if the stanza was one.
	function link.hello_answer(stanza)
		if stanza.attr.id ~= hello_id then return false; end
		local hello = stanza:get_child("hello", ns);
		local version = hello and tostring(hello.attr.version):match("^%d+");
		if stanza.attr.type == "result" and version == "1" then
			agreed, misses, trial_until = true, 0, 0;
			record = gate.words.clean(hello.attr.record, 64);
			module:log("info", "bindgate %s is connected, mode %s", gate.words.clean(hello.attr.bindgate, 64) or "(unknown)", gate.mode);
			return true;
		end
		refused = now() + refused_seconds;
		local _, condition, text = nil, "it answered in version "..gate.words.clean(version or "unknown", 32).."; update the older of the two", nil;
		if stanza.attr.type == "error" then _, condition, text = stanza:get_error(); end
		module:log("error", "no agreement with bindgate on hello (this module speaks version 1 of the gate protocol): %s %s", tostring(condition), text or "");
		return true;
	end

	-- Where the newest connection is kept, the older one ends in the very run of the loop that lets it in.
	local function on_authenticated()
		link.connection = link.connection + 1;
		replaced, record, ending = ending, nil, nil;
		greeted, agreed, misses, trial_until = false, false, 0, 0;
		greet();
	end

	local function on_disconnected()
		link.connection = link.connection + 1;
		ending, record = agreed and record or nil, nil;
		greeted, agreed = false, false;
		local connection = link.connection;
		-- Not now: the dying stream still counts as connected, and what a finished bind sends would be written to it.
		module:add_timer(0, function ()
			ending = nil;
			gate.bind.fail_asks(connection, "the component's connection ended");
		end);
	end

	-- Hosts are activated in no order: before the component's is, module:context would hook the global events.
	local attached = false;
	local function attach()
		if attached or not hosts[component] then return; end
		attached = true;
		local context = module:context(component);
		context:hook("component-authenticated", gate.guarded("component-authenticated", on_authenticated));
		context:hook("component-disconnected", gate.guarded("component-disconnected", on_disconnected));
	end

	module:hook_global("host-activated", function (activated)
		if activated == component then attach(); end
	end);
	module:hook_global("host-deactivated", function (deactivated)
		if deactivated == component then attached = false; end
	end);

	function link.start()
		attach();
		module:add_timer(0, function ()
			gate.registry.complete_later(function ()
				ready = true;
				greet();
			end);
		end);
		module:add_timer(5, function ()
			if not hosts[component] then
				module:log("error", "there is no Component %q in this server's configuration: bindgate cannot connect", component);
			end
		end);
	end

	-- No ask from now on.
	function link.stop()
		ready, agreed = false, false;
	end

	return link;
end
