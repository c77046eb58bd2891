package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

const (
	lookupAccounts    = 100_000
	lookupConnections = 8
	lookupSize        = 500
)

// lookup compares the look-up of 500 accounts with the same statement by pgbench.
func lookup(ctx context.Context, log *slog.Logger) (row, error) {
	r := row{
		Name: "lookup", Bound: "≥ 0.4", Unit: "× pgbench",
		How: fmt.Sprintf("POST /v1/sessions/lookup of %d of %d accounts with one session each ÷ its statement by pgbench -M prepared, %d connections each", lookupSize, lookupAccounts, lookupConnections),
	}
	s, err := newService(ctx, log, nil)
	if err != nil {
		return r, err
	}
	defer s.stop()
	if err := s.people(ctx, "user", lookupAccounts, 1); err != nil {
		return r, err
	}
	script, err := s.lookupScript(ctx)
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(filepath.Dir(script))
	// As many requests as pgbench has arrays, each for other accounts, made beforehand.
	ours := load{url: s.url, connections: lookupConnections, spell: restSpell, script: fmt.Sprintf(`
		local n, at, requests, headers = 0, 0, {}, {["Authorization"] = "Bearer %s", ["Content-Type"] = "application/json"}
		function init()
			for r = 1, %d do
				local list = {}
				for i = 1, %d do n = (n + 7919) %% %d; list[i] = '"user' .. n .. '@%s"' end
				requests[r] = wrk.format("POST", "/v1/sessions/lookup", headers, '{"accounts":[' .. table.concat(list, ",") .. ']}')
			end
		end
		function request() at = at %% #requests + 1; return requests[at] end`, s.token, lookupAccounts/lookupSize, lookupSize, lookupAccounts, restDomain)}
	theirs := func() (float64, error) {
		out, err := pgbench(ctx, s.cluster, "-n", "-f", script, "-M", "prepared", "-c", strconv.Itoa(lookupConnections), "-j", "1", "-T", strconv.Itoa(int(restSpell.Seconds())))
		if err != nil {
			return 0, err
		}
		return figure(tpsLine, out)
	}
	err = r.compareTurns(ctx, 0.4, "lookups/s", "pgbench tps", func() (float64, error) { return ours.run(ctx) }, theirs)
	return r, err
}

// lookupStatement is what store.LiveSessions asks.
const lookupStatement = `select s.account, s.sid, s.generation, s.link, s.resource, case when s.evict_code is null then s.state else 'evicting' end, coalesce(s.device, 0), s.identity,
	s.platform, s.ip, s.secure, s.client, s.decided_at, s.started_at, s.last_seen_at from sessions s where s.account = any(:keys::uuid[]) order by s.account, s.generation`

// lookupScript writes a script for pgbench: it takes one of a hundred arrays of keys, which are a parameter.
func (s *service) lookupScript(ctx context.Context) (string, error) {
	conn, err := pgx.Connect(ctx, s.cluster.URL())
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, fmt.Sprintf(`create table lookup_keys as select n, array_agg(key) as keys
		from (select key, ntile(%d) over (order by md5(key::text)) as n from accounts) a group by n; alter table lookup_keys add primary key (n); analyze lookup_keys`, lookupAccounts/lookupSize)); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "bindgate-pgbench")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "lookup.sql")
	text := "\\set n random(1, " + strconv.Itoa(lookupAccounts/lookupSize) + ")\n" +
		strings.ReplaceAll(strings.ReplaceAll(lookupStatement, ":keys::uuid[]", "(select keys from lookup_keys where n = :n)::uuid[]"), "\n\t", " ") + ";\n"
	return path, os.WriteFile(path, []byte(text), 0o644)
}
