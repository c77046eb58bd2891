-- Revoking stored login credentials, so that a kicked client has no way back but the account's password.
--
--   fast       tokens of mod_sasl2_fast (XEP-0484), kept by device
--   tokenauth  tokens and grants of mod_tokenauth, which name no device
--
-- What no loaded module keeps logs nobody in, and is not spoken of.

local st = require "util.stanza";
local sha256 = require "util.hashes".sha256;
local now = require "util.time".now;
local traceback = debug.traceback;
local xpcall = require "util.xpcall".xpcall;

return function (gate)
	local ns, host = gate.ns, gate.host;
	local registry = gate.registry;
	local clean, int, whole = gate.words.clean, gate.words.int, gate.words.whole;
	local revoke = {};

	-- What a request is about: the whole account, some devices, or all others. nil and what is wrong, if it is malformed.
	local function parse(node)
		local user = node.attr.user;
		if not user or user == "" then return nil, "the attribute user is missing"; end
		local others = node.attr.others;
		if others and not whole(others, 0, 1) then return nil, "the attribute others must be 0 or 1"; end
		local wish = { user = user, others = others == "1", by_id = {}, by_hash = {} };
		local named = false;
		for child in node:childtags("device", ns) do
			local id = child.attr.client_id;
			if not id or id == "" then return nil, "a device has no client_id"; end
			wish.by_id[id], wish.by_hash[sha256(id, true)], named = true, true, true;
		end
		wish.all = not named and not wish.others;
		return wish;
	end

	local function means(wish, listed)
		return wish.all or wish.others ~= (listed or false);
	end

	-- A token's key is the SHA-256 of its client's id, and "-new", "-cur" or, in old versions, "--cur". Returns how many were valid, or nil and why not.
	local function fast(wish)
		local tokens, err = module:open_store("fast_tokens"):get(wish.user);
		if not tokens then
			if err then return nil, "the tokens cannot be read"; end
			return 0;
		end
		local map, valid = module:open_store("fast_tokens", "map"), 0;
		for key, token in pairs(tokens) do
			if means(wish, wish.by_hash[key:sub(1, 64)]) then
				if not map:set(wish.user, key, nil) then return nil, "a token cannot be removed"; end
				if type(token) == "table" and (token.expires_at or 0) >= now() then valid = valid + 1; end
			end
		end
		return valid;
	end

	-- 0.12 keeps tokens, 13.0 grants with tokens in them, both by their ids.
	local function tokenauth(wish, mod)
		local grants, err = module:open_store("auth_tokens"):get(wish.user);
		if not grants then
			if err then return nil, "the tokens cannot be read"; end
			return 0;
		end
		local function is_valid(id, grant)
			if mod.get_grant_info then return mod.get_grant_info(wish.user, id) ~= nil; end
			return type(grant) == "table" and (not grant.expires or grant.expires >= os.time());
		end
		local map = module:open_store("auth_tokens", "map");
		local function remove(id)
			if mod.revoke_grant then return mod.revoke_grant(wish.user, id); end
			return map:set(wish.user, id, nil);
		end
		local valid = 0;
		for id, grant in pairs(grants) do
			if is_valid(id, grant) then valid = valid + 1; end
			if wish.all and not remove(id) then return nil, "a token cannot be removed"; end
		end
		if valid > 0 and not wish.all then return nil, "its tokens name no device, only the whole account's can be revoked"; end
		return valid;
	end

	-- Who has logged in by what is revoked, and not bound yet, begins anew.
	local function end_unbound(wish)
		local streams = {};
		for _, sessions in ipairs({ module:shared("/*/c2s/sessions"), module:shared("/*/bosh/sessions") }) do
			for _, session in pairs(sessions) do
				if session.type == "c2s_unbound" and session.host == host and session.username == wish.user
					and (wish.all or session.client_id and means(wish, wish.by_id[session.client_id])) then
					streams[#streams + 1] = session;
				end
			end
		end
		for _, session in ipairs(streams) do
			if not session.destroyed and session.close then
				session:close({ condition = "reset", text = "The account's credentials were revoked" });
			end
		end
	end

	local kinds = {
		{ name = "fast"; module = "sasl2_fast"; revoke = fast };
		{ name = "tokenauth"; module = "tokenauth"; revoke = tokenauth };
	};

	-- Carries out a <revoke/> and returns the answer's element, with the account's live sessions after it; nil and what is wrong, if it is malformed.
	function revoke.request(node)
		local wish, wrong = parse(node);
		if not wish then return nil, wrong; end
		local answer, done = st.stanza("revoke", { xmlns = ns, epoch = gate.epoch }), {};
		for _, kind in ipairs(kinds) do
			local mod = prosody.hosts[host].modules[kind.module];
			if mod then
				local ok, count, why = xpcall(kind.revoke, traceback, wish, mod);
				if not ok then
					module:log("error", "revoking of %s failed: %s", kind.name, count);
					count, why = nil, "it failed, see the server's log";
				end
				if count then
					answer:tag("revoked", { kind = kind.name, count = int(count) }):up();
				else
					answer:tag("unable", { kind = kind.name, why = why }):up();
				end
				done[#done + 1] = kind.name.." "..(count and int(count) or why);
			end
		end
		end_unbound(wish);
		answer.attr.seq, answer.attr.more = int(registry.seq), registry.list(answer, wish.user);
		module:log("info", "revoked credentials of %s: %s", clean(wish.user, 1023), table.concat(done, ", "));
		return answer;
	end

	return revoke;
end
