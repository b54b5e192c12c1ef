package watch

import "twokey/actions"

// SampleOf takes from a report the numbers that are kept. What isn't known
// stays nil: it is never 0.
func SampleOf(rep actions.Report) actions.Sample {
	s := actions.Sample{At: rep.Evidence.At, Primary: rep.Verdict.Primary, State: string(rep.Verdict.Health)}
	p := rep.Evidence.Observation(rep.Verdict.Primary).Server
	if p == nil || p.InRecovery {
		return s
	}
	s.Waiters = &p.SyncWaiters
	standby, _ := rep.Evidence.Pair.Node(rep.Verdict.Standby)
	for _, w := range p.Standbys {
		if w.Name == standby.Name && w.State == "streaming" {
			s.Write, s.Flush, s.Replay = behind(p, w.Write), behind(p, w.Flush), behind(p, w.Replay)
			s.Behind = rep.Late()
		}
	}
	for _, slot := range p.Slots {
		if slot.Name == standby.Slot {
			s.SlotBytes = behind(p, slot.RestartLSN)
		}
	}
	return s
}

// behind is nil for a position that isn't known.
func behind(p *actions.Server, at actions.LSN) *uint64 {
	if at == 0 || p.FlushLSN == 0 {
		return nil
	}
	n := at.Behind(p.FlushLSN)
	return &n
}
