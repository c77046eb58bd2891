package store

// disowned is a session that a job had marked and that stands again, or goes for another reason.
type disowned struct {
	kick int64 // the negative of the job's id
	sid  string
}

// disown takes the session from the job that marked it, if one did, so that the job's count of its sessions stays right.
func (r *Record) disown(s *Session) {
	if e := s.Eviction; e != nil && e.Kick < 0 {
		r.disowned = append(r.disowned, disowned{e.Kick, s.SID})
	}
}

const disownSessions = `with u as (select account, id, array_agg(sid) as sids from unnest($1::uuid[], $2::bigint[], $3::text[]) x(account, id, sid) group by account, id),
		fewer as (update jobs j set marked = marked - n from (select id, sum(cardinality(sids)) as n from u group by id) f where j.id = -f.id and marked is not null)
	update kicks k set sids = array(select sid from unnest(k.sids) sid where sid <> all (u.sids))
	from u where k.account = u.account and k.id = u.id`

// rewindParts has the jobs that run look at a link's accounts again: what they wanted may be taken back. $1 is the link, $2 the mode that it gets.
const rewindParts = `update job_parts p set done = 0, cursor = '00000000-0000-0000-0000-000000000000', walked = false from jobs j
	where $2 <> '` + Enforcing + `' and p.link = $1 and j.id = p.job and j.state = 'running' and j.kind = '` + JobApplyRule + `'`
