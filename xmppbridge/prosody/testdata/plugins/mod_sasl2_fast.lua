-- A stand-in for mod_sasl2_fast: the same store with the same keys, without SASL2.
local sha256 = require "util.hashes".sha256;
local id = require "util.id";
local now = require "util.time".now;

local store = module:open_store("fast_tokens", "map");

-- which: "new" or "cur".
function give(user, client_id, which, ttl)
	local secret = "secret-token:fast-"..id.long();
	assert(store:set(user, sha256(client_id, true).."-"..which, {
		mechanism = "HT-SHA-256-NONE"; secret = secret; issued_at = now(); expires_at = now() + ttl;
	}));
	return secret;
end

function is_valid(user, client_id, secret)
	for _, which in ipairs({ "new", "cur" }) do
		local token = store:get(user, sha256(client_id, true).."-"..which);
		if token and token.secret == secret and token.expires_at >= now() then return true; end
	end
	return false;
end
