package actions

// roles is who is what in a piece of evidence, as far as it can be told.
type roles struct {
	health           Health // HealthOK when one primary and one standby answer
	primary, standby *Server
	from, to         Node // configured nodes behind primary and standby; also set when one doesn't answer but the other's role says which it must be
}

// classify tells the roles from the two observations alone.
func classify(e Evidence) roles {
	a, b := e.Nodes[0].Server, e.Nodes[1].Server
	switch {
	case a == nil && b == nil:
		return roles{health: HealthUnseen}
	case a == nil:
		return oneSided(b, e.Pair.Nodes[1], e.Pair.Nodes[0])
	case b == nil:
		return oneSided(a, e.Pair.Nodes[0], e.Pair.Nodes[1])
	case a.SystemID != b.SystemID:
		return roles{health: HealthMismatch}
	case !a.InRecovery && !b.InRecovery:
		return roles{health: HealthTwoPrimaries}
	case a.InRecovery && b.InRecovery:
		return roles{health: HealthNoPrimary}
	case a.InRecovery:
		return roles{health: HealthOK, primary: b, standby: a, from: e.Pair.Nodes[1], to: e.Pair.Nodes[0]}
	}
	return roles{health: HealthOK, primary: a, standby: b, from: e.Pair.Nodes[0], to: e.Pair.Nodes[1]}
}

// oneSided is the case that only one node answers.
func oneSided(seen *Server, node, other Node) roles {
	if seen.InRecovery {
		return roles{health: HealthPrimaryGone, standby: seen, from: other, to: node}
	}
	return roles{health: HealthHalfSeen, primary: seen, from: node, to: other}
}

// health is the pair's state at a glance.
func (r roles) judgeHealth(e Evidence) Health {
	if r.primary == nil {
		return r.health
	}
	names := r.primary.Settings["synchronous_standby_names"]
	_, attached := r.syncStandby()
	switch {
	case !acceptableNames(names, r.to.Name) || !commitsWait(r.primary) || r.openDoor():
		return HealthUnprotected
	case !attached:
		return HealthBlocked
	case r.health == HealthHalfSeen:
		return HealthHalfSeen
	case e.HasMemory && !latchHolds(e.Memory.Latch, r):
		return HealthArming
	case r.replayBehind() > e.Thresholds.LagBytes, r.lateBy(e) > e.Thresholds.LagTime:
		return HealthLagging
	}
	return HealthOK
}

// openDoor says whether a commit can come past the standby although names and
// synchronous_commit are right: a role or database with a setting of its own,
// somebody else under the standby's name, or a node on which flushed is a word.
func (r roles) openDoor() bool {
	if len(r.primary.SyncOverrides) > 0 || !durable(r.primary) || (r.standby != nil && !durable(r.standby)) {
		return true
	}
	all := claimants(r.primary, r.to.Name)
	return len(all) > 1 || len(all) == 1 && (all[0].Name != r.to.Name || r.to.Source != "" && all[0].ClientAddr != r.to.Source)
}

// syncStandby finds the standby's walsender on the primary: streaming, sync.
func (r roles) syncStandby() (Standby, bool) {
	for _, s := range r.primary.Standbys {
		if s.Name == r.to.Name && s.State == "streaming" && s.SyncState == "sync" {
			return s, true
		}
	}
	return Standby{}, false
}

// replayBehind is how many bytes the standby's replay is behind the primary.
func (r roles) replayBehind() uint64 {
	s, ok := r.syncStandby()
	if !ok {
		return 0
	}
	return s.Replay.Behind(r.primary.FlushLSN)
}
