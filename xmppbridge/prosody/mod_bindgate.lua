-- mod_bindgate: the gate protocol's server side (urn:bindgate:1, see PROTOCOL.md) for Prosody 0.12 and 13.0.
--
-- Before a session binds a resource, bindgate, an external component, is asked; what it answers is carried out here. The
-- parts, each handed the table `gate` that they share:
--
--   words     cleaning of text, element names, the failure words
--   registry  every session under its sid and its bucket, digests, events
--   link      the component's connection, hello, the circuit breaker
--   kick      ending a session for good on every transport
--   bind      the hold on a bind: ask, allow, deny, failure policy
--   unbound   an end for streams that never bind
--   revoke    revoking stored login credentials
--   requests  what bindgate asks of us: kick, probe, snapshot, mode, revoke, hello

local id = require "util.id";
local datamanager = require "util.datamanager";
local traceback = debug.traceback;
local xpcall = require "util.xpcall".xpcall;

local component = module:get_option_string("bindgate_component", "bindgate."..module.host);
local timeout = module:get_option_number("bindgate_timeout", 5);
local on_failure = module:get_option_string("bindgate_on_failure", "allow");

if on_failure ~= "allow" and on_failure ~= "deny" then
	module:log("error", "bindgate_on_failure is %q, it must be \"allow\" or \"deny\"; \"allow\" is used", on_failure);
	on_failure = "allow";
end
if timeout < 0.1 or timeout > 60 then
	module:log("error", "bindgate_timeout is %s, it must be between 0.1 and 60 seconds; 5 is used", tostring(timeout));
	timeout = 5;
end

local modes = { enforce = true, observe = true, off = true };
local kept = datamanager.load(nil, module.host, "bindgate");

local gate = {
	ns = "urn:bindgate:1";
	version = "0.1.0";
	host = module.host;
	component = component;
	timeout = timeout;
	on_failure = on_failure;
	unbound_timeout = module:get_option_number("bindgate_unbound_timeout", 60);
	epoch = id.medium();
	mode = kept and modes[kept.mode] and kept.mode or "enforce";
	modes = modes;
};

-- The mode outlives restarts in a file of its own (data/<host>/bindgate.dat), whatever storage the host uses.
function gate.set_mode(mode)
	if mode ~= gate.mode then
		module:log("warn", "mode is now %q, was %q", mode, gate.mode);
	end
	gate.mode = mode;
	return datamanager.store(nil, module.host, "bindgate", { mode = mode });
end

-- An error of ours must never keep the server from doing its work: what is hooked is guarded.
function gate.guarded(what, f)
	return function (event)
		local ok, ret = xpcall(f, traceback, event);
		if ok then return ret; end
		module:log("error", "%s failed: %s", what, ret);
	end
end

gate.words = module:require "words";
gate.registry = module:require "registry"(gate);
gate.link = module:require "link"(gate);
gate.kick = module:require "kick"(gate);
gate.bind = module:require "bind"(gate);
module:require "unbound"(gate);
gate.revoke = module:require "revoke"(gate);
gate.requests = module:require "requests"(gate);

function module.save()
	return { registry = gate.registry.save() };
end

function module.load()
	gate.registry.load(module.saved_state and module.saved_state.registry);
	gate.link.start();
end

function module.unload()
	gate.bind.stop();
	gate.requests.stop();
	gate.kick.stop();
end
