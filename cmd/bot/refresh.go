package main

import (
	"context"
	"time"
)

// refresher is an endpoint whose way to the node that it leads to can change by
// itself: a pod gets a new address with each start of its machine.
type refresher interface {
	// Refresh leads to the same node by its present address, never to another one.
	Refresh(ctx context.Context) error
}

// refreshEvery is how long clients in a cluster may wait after a pod's new start.
const refreshEvery = 15 * time.Second

// refreshEndpoints keeps every such endpoint current until ctx ends. What fails is
// logged once; the scheduled looks tell people where clients aren't led rightly.
func (s *service) refreshEndpoints(ctx context.Context) error {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	said := map[refresher]string{}
	for {
		for _, h := range s.hands {
			for _, e := range h.Endpoints {
				if r, ok := e.(refresher); ok {
					s.refresh(ctx, r, said)
				}
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (s *service) refresh(ctx context.Context, r refresher, said map[refresher]string) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeouts.Domain().Effect)
	defer cancel()
	err := r.Refresh(ctx)
	text := errorText(err)
	if text != said[r] && ctx.Err() == nil {
		s.log.Info("an endpoint's address", "problem", text)
	}
	said[r] = text
}
