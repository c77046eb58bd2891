package api

import (
	"errors"
	"math"
	"net/http"

	"github.com/bindgate/bindgate/store"
)

// verdict says whether what an app backend holds still stands.
type verdict struct {
	Current bool   `json:"current"`
	Reason  string `json:"reason"`
}

// The reasons of verdicts.
const (
	reasonCurrent    = "current"
	reasonEvicting   = "evicting"   // it has to go, and will
	reasonEnded      = "ended"      // it was there and is not any more
	reasonSuperseded = "superseded" // a later login has its place
	reasonNotFound   = "not_found"  // never seen, or forgotten
)

func (a *api) verify(c *call) error {
	acc, err := c.account()
	if err != nil {
		return err
	}
	o, err := readObject(c.Request(), "session_id", "resource", "device_id", "generation")
	if err != nil {
		return err
	}
	wanted, err := readWanted(o, acc.key)
	if err != nil {
		return err
	}
	if _, err := a.store.FindAccount(c.ctx, acc.key); err != nil {
		return err
	}
	var v verdict
	if wanted.session != 0 {
		v, err = a.verifySession(c, acc.key, wanted)
	} else {
		v, err = a.verifyPlace(c, acc.key, wanted)
	}
	if err != nil {
		return err
	}
	return c.respond(http.StatusOK, v)
}

// wanted is what is to be verified: a session, or whoever is at a resource or a device, and the generation it had.
type wanted struct {
	session    int64
	resource   string
	device     int64
	generation *int64
}

func readWanted(o *object, key store.Key) (wanted, error) {
	var w wanted
	if !o.exactlyOne([]string{"session_id", "resource", "device_id"}) {
		return w, o.problem
	}
	w.generation = o.within("generation", 1, math.MaxInt64)
	switch {
	case o.has("session_id"):
		w.session = o.id("/session_id", "session", o.fields["session_id"], key, store.ParseSessionID)
	case o.has("device_id"):
		w.device = o.id("/device_id", "device", o.fields["device_id"], key, store.ParseDeviceID)
	default:
		w.resource = o.resource("resource")
	}
	return w, o.problem
}

func (a *api) verifySession(c *call, key store.Key, w wanted) (verdict, error) {
	s, err := a.store.FindSession(c.ctx, key, w.session)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return verdict{false, reasonNotFound}, nil
	case err != nil:
		return verdict{}, err
	}
	return judge(s, w.generation), nil
}

// judge says whether a session stands, and is the one of the generation if that is given.
func judge(s store.ListedSession, generation *int64) verdict {
	switch {
	case s.State == store.StateEnded:
		return verdict{false, reasonEnded}
	case generation != nil && *generation < s.Generation:
		return verdict{false, reasonSuperseded}
	case generation != nil && *generation > s.Generation:
		return verdict{false, reasonNotFound}
	case s.State == store.StateEvicting:
		return verdict{false, reasonEvicting}
	}
	return verdict{true, reasonCurrent}
}

// verifyPlace looks at the latest session at a resource or of a device; one that has to go speaks only when there is no other.
func (a *api) verifyPlace(c *call, key store.Key, w wanted) (verdict, error) {
	live, err := a.store.SessionsAt(c.ctx, key, w.resource, w.device)
	if err != nil {
		return verdict{}, err
	}
	if w.generation != nil {
		for _, s := range live {
			if s.Generation == *w.generation {
				return judge(s, nil), nil
			}
		}
	}
	if len(live) > 0 {
		return judge(live[0], w.generation), nil
	}
	had, err := a.store.HadSession(c.ctx, key, w.resource, w.device)
	if err != nil {
		return verdict{}, err
	}
	if had {
		return verdict{false, reasonEnded}, nil
	}
	return verdict{false, reasonNotFound}, nil
}
