package store

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bindgate/bindgate/rules"
)

// pageQuery makes the statements of one page of a list of sessions: what is on it, and where it ends if that is because enough was looked at.
//
// What is looked at, accounts or sessions, comes in the order of an index, behind the place, and only so many of them. The rest of the filter chooses from that.
type pageQuery struct {
	args     []any
	lookArgs int // how many of them the first statement has

	looked  string   // select, of what is looked at
	ends    string   // columns of looked: the place behind one of its rows
	columns string   // of a listed session, with its tables
	fits    []string // conditions for an account a and a session s
	jid     string   // of the account
	domain  string   // likewise
	order   string
	looks   int // how much is looked at
	limit   int
}

const (
	stateBinding     = string(rules.Binding)
	stateHibernating = string(rules.Hibernating)

	noSession = "'', null::timestamptz, 0::bigint"
	liveOrder = "s.sid"
	pastOrder = "s.ended_at desc, s.generation desc"
)

// Columns and table of an account's sessions, whose jid and domain are the first two arguments.
var (
	accountLive  = ofAccount(listedLive)
	accountEnded = ofAccount(listedEnded)
)

func ofAccount(listed string) string {
	return strings.NewReplacer("a.jid, a.domain", "$1::text, $2::text", " join accounts a on a.key = s.account", "").Replace(listed)
}

func newPageQuery(f SessionFilter) *pageQuery {
	q := &pageQuery{looks: pageLooks, limit: f.Limit, jid: "a.jid", domain: "a.domain"}
	past := f.State == StateEnded
	table, columns, order := "sessions", listedLive, liveOrder
	if past {
		table, columns, order = "session_history", listedEnded, pastOrder
	}
	columns, _, _ = strings.Cut(columns, "\n\tfrom ")
	after := f.After
	inside := after.SID != ""
	byAccount := func(looked, orderBy string) {
		q.looked, q.ends, q.lookArgs = looked, "key, jid, "+noSession, len(q.args)
		// Behind offset 0, so that the sessions are always sought by their account: else the planner may go through all of them to find the few that fit the filter.
		q.columns = fmt.Sprintf("%s from (%s limit %d) a cross join lateral (select * from %s o where o.account = a.key offset 0) s", columns, looked, q.looks, table)
		q.order = orderBy + ", " + order
		if inside && past {
			q.fits = append(q.fits, fmt.Sprintf("(a.key <> %s or (s.ended_at, s.generation) < (%s, %s))", q.arg(uuidOf(after.Key)), q.arg(after.EndedAt), q.arg(after.Generation)))
		} else if inside {
			q.fits = append(q.fits, fmt.Sprintf("(a.key <> %s or s.sid > %s)", q.arg(uuidOf(after.Key)), q.arg(after.SID)))
		}
	}
	orOn := map[bool]string{true: "=", false: ""}[inside] // a page that ended in the middle of an account goes on in it
	begun := after != SessionPosition{Domain: after.Domain, Rest: after.Rest}
	switch {
	case f.Account != "": // what of the account is listed is known: a join would double the work
		q.jid, q.domain = q.arg(f.Account)+"::text", q.arg(domainOf(f.Account))+"::text"
		q.columns = accountLive
		if past {
			q.columns = accountEnded
		}
		q.order = order
		q.fits = append(q.fits, "s.account = "+q.arg(uuidOf(KeyOf(f.Account))))
		if inside && past {
			q.fits = append(q.fits, fmt.Sprintf("(s.ended_at, s.generation) < (%s, %s)", q.arg(after.EndedAt), q.arg(after.Generation)))
		} else if inside {
			q.fits = append(q.fits, "s.sid > "+q.arg(after.SID))
		}
	case f.Text != "" && !after.Rest:
		looked := fmt.Sprintf(`select key, jid, domain from accounts where jid collate "C" >= %s and jid collate "C" < %[1]s || chr(1114111)`, q.arg(strings.ToLower(f.Text))+"::text")
		if begun {
			looked += ` and jid collate "C" >` + orOn + " " + q.arg(after.JID)
		}
		byAccount(looked+` order by jid collate "C"`, `a.jid collate "C"`)
	case f.State != StateEvicting && f.State != stateBinding && len(f.Domains) == 1:
		looked := "select key, jid, domain from accounts where domain = " + q.arg(f.Domains[0])
		if begun {
			looked += " and key >" + orOn + " " + q.arg(uuidOf(after.Key))
		}
		byAccount(looked+" order by key", "a.key")
	default:
		key := "s.account, s.sid"
		q.ends = "s.account, '', s.sid, null::timestamptz, s.generation"
		q.order = key
		if past {
			q.ends = "s.account, '', s.sid, s.ended_at, s.generation"
			q.order = "s.account desc, " + pastOrder
		}
		behind := "true"
		switch {
		case begun && past:
			behind = fmt.Sprintf("(s.account, s.ended_at, s.generation) < (%s, %s, %s)", q.arg(uuidOf(after.Key)), q.arg(after.EndedAt), q.arg(after.Generation))
		case begun:
			behind = fmt.Sprintf("(%s) > (%s, %s)", key, q.arg(uuidOf(after.Key)), q.arg(after.SID))
		}
		looked := "select * from " + table + " s where " + behind
		if f.State == StateEvicting { // they have to be sorted: no more than are wanted, or a few hundred to choose from
			q.looks = f.Limit + 1
			if f.Domains != nil || f.Platforms != nil || f.Text != "" {
				q.looks = max(q.looks, evictingLooks)
			}
		}
		switch f.State {
		case StateEvicting: // one that rides in an answer has no time at which it is asked for; its account has a session that is binding
			looked = fmt.Sprintf(`select * from (
				(select * from sessions s where evict_next is not null and %s order by %s limit %d)
				union all (select o.* from (select distinct account from sessions where state = 'binding' offset 0) b
					cross join lateral (select * from sessions o where o.account = b.account and o.evict_code is not null and o.evict_next is null offset 0) o offset 0)) s where %[1]s`, behind, q.order, q.looks)
		case stateBinding: // never many; sought by themselves, lest all sessions be gone through in their order
			looked = "select * from (select * from sessions where state = 'binding' offset 0) s where " + behind
		case stateHibernating:
			looked += " and s.state = 'hibernating'"
		}
		q.looked, q.lookArgs = looked+" order by "+q.order, len(q.args)
		q.columns = fmt.Sprintf("%s from (%s limit %d) s join accounts a on a.key = s.account", columns, q.looked, q.looks)
	}
	q.filter(f)
	return q
}

// filter makes the conditions that what is looked at has to fit.
func (q *pageQuery) filter(f SessionFilter) {
	if f.Domains != nil {
		q.fits = append(q.fits, q.domain+" = any("+q.arg(f.Domains)+")")
	}
	if f.Platforms != nil {
		q.fits = append(q.fits, "s.platform = any("+q.arg(f.Platforms)+")")
	}
	if f.Resource != "" {
		q.fits = append(q.fits, "starts_with(s.resource, "+q.arg(f.Resource)+")")
	}
	if f.Text != "" && (f.Account != "" || f.After.Rest) {
		text := q.arg(strings.ToLower(f.Text)) + "::text"
		q.fits = append(q.fits, "strpos(lower("+q.jid+" || '/' || s.resource), "+text+") > 0")
		if f.After.Rest {
			q.fits = append(q.fits, "not starts_with(a.jid, "+text+")")
		}
	}
	switch f.State {
	case "", StateEnded:
	case StateEvicting:
		q.fits = append(q.fits, "s.evict_code is not null")
	default:
		q.fits = append(q.fits, "s.evict_code is null and s.state = "+q.arg(f.State))
	}
}

func (q *pageQuery) arg(v any) string {
	q.args = append(q.args, v)
	return "$" + strconv.Itoa(len(q.args))
}

// page returns the statement for the sessions of the page, and one more.
func (q *pageQuery) page() string {
	sql := "select " + q.columns
	if len(q.fits) > 0 {
		sql += " where " + strings.Join(q.fits, " and ")
	}
	return sql + " order by " + q.order + " limit " + strconv.Itoa(q.limit+1)
}

// end returns the statement for the place behind all that is looked at; nothing, if that is all there is.
func (q *pageQuery) end() string {
	return fmt.Sprintf("select %s from (%s offset %d limit 1) s", q.ends, q.looked, q.looks-1)
}
