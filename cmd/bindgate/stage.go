package main

import (
	"context"
	"fmt"
	"sync"
)

// stage is a part of serve that is ended as a whole, after those which were begun later.
type stage struct {
	cancel context.CancelFunc
	wait   sync.WaitGroup
}

// begin runs each function until the stage ends. The first one anywhere that returns before its time is sent to failed.
func begin(ctx context.Context, name string, failed chan<- error, runs ...func(context.Context) error) *stage {
	s := &stage{}
	// The signal that ends ctx does not end the stage: end does, when its turn comes.
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for _, run := range runs {
		s.wait.Go(func() {
			err := run(ctx)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				err = fmt.Errorf("ended by itself")
			}
			select {
			case failed <- fmt.Errorf("%s: %w", name, err):
			default: // another failure is being handled
			}
		})
	}
	return s
}

// end tells the functions to return and waits until they have.
func (s *stage) end() {
	s.cancel()
	s.wait.Wait()
}
