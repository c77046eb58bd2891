package dashboard

import (
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/bindgate/bindgate/client"
)

// sessionsByID looks sessions up, some at once. What is not on record any more, or not the user's business, is left out.
func (v *visit) sessionsByID(ids []string) (map[string]*client.Session, error) {
	found := make(map[string]*client.Session, len(ids))
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(losersAtOnce)
	for _, id := range ids {
		group.Go(func() error {
			s, err := v.api().GetSession(v.ctx, id)
			if err != nil {
				if isMissing(err) {
					return nil
				}
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			found[id] = s
			return nil
		})
	}
	return found, group.Wait()
}
