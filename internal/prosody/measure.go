package prosody

import (
	"context"
	"fmt"
	"time"
)

// MeasureIQs starts to take the time that each IQ addressed to a virtual host holds the server's thread, from its handlers'
// first line until its answer is in the socket's buffer. A second call starts over.
func (s *Server) MeasureIQs(ctx context.Context, host string) error {
	_, err := s.Eval(ctx, fmt.Sprintf(`
		local now, cpu = require "util.time".monotonic, os.clock;
		local events = prosody.hosts[%[1]s].events;
		local measured = events.kit_measured;
		if measured then
			measured.wall, measured.cpu = 0, 0;
			return;
		end
		measured = { wall = 0, cpu = 0 };
		events.kit_measured = measured;
		events.wrappers.add_handler("iq/host", function (handlers, name, data)
			local wall_from, cpu_from = now(), cpu();
			local ret = handlers(name, data);
			measured.wall = math.max(measured.wall, now() - wall_from);
			measured.cpu = math.max(measured.cpu, cpu() - cpu_from);
			return ret;
		end);`, quote(host)))
	return err
}

// LongestIQ is the longest such time since MeasureIQs: by the clock, which counts what other programs took of the processor
// meanwhile, and in processor time.
func (s *Server) LongestIQ(ctx context.Context, host string) (wall, cpu time.Duration, err error) {
	text, err := s.Eval(ctx, fmt.Sprintf(`
		local measured = prosody.hosts[%s].events.kit_measured;
		return ("%%.0f %%.0f"):format(measured.wall * 1e9, measured.cpu * 1e9);`, quote(host)))
	if err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Sscan(text, (*int64)(&wall), (*int64)(&cpu)); err != nil {
		return 0, 0, fmt.Errorf("prosody: measure: %w", err)
	}
	return wall, cpu, nil
}
