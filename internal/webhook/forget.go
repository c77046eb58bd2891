package webhook

import (
	"context"
	"time"
)

// Bounds of forgetting.
const (
	forgetEvery   = time.Hour
	forgetAgain   = time.Minute // after a failure
	forgetTimeout = 30 * time.Second
)

// forget drops deliveries by age until ctx ends. It has a goroutine of its own: leases are renewed whatever there is to drop.
func (d *Deliverer) forget(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if err := d.forgetAll(ctx); err != nil && ctx.Err() == nil {
			d.log.WarnContext(ctx, "old deliveries of webhooks could not be dropped", "error", err)
			timer.Reset(forgetAgain)
			continue
		}
		timer.Reset(forgetEvery)
	}
}

// forgetAll drops all that is old enough, piece by piece.
func (d *Deliverer) forgetAll(ctx context.Context) error {
	for more := true; more && ctx.Err() == nil; {
		var err error
		if more, err = d.forgetSome(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *Deliverer) forgetSome(ctx context.Context) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, forgetTimeout)
	defer cancel()
	return d.cfg.Store.ForgetDeliveries(ctx, d.cfg.Keep)
}
