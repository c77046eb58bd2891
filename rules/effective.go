package rules

// LevelRule is the rule of one level.
type LevelRule struct {
	Level Level
	Rule  Rule
}

// What holds where no level says otherwise. What is nil has no limit; the maps and lists are empty.
const (
	defaultOnExcess          = EvictOldest
	defaultSameResource      = Replace
	defaultCooldownSeconds   = 30
	defaultGhostAfterSeconds = 2
	defaultDenyCondition     = conditionConstraint
	defaultEnforce           = true
)

// Merge makes the effective rule out of the levels' own, strongest first: each field comes whole from the first level that sets it.
// A field that is set to null means none and is not looked for further down. No map or list of the result is nil; they
// may be those of the levels and are for reading only.
func Merge(levels ...LevelRule) Effective {
	e := Effective{Origin: make(map[string]Level, 24)}
	e.MaxSessions = pick(&e, levels, fieldMaxSessions, nil, func(r *Rule) *Field[*int] { return &r.MaxSessions })
	e.MaxPerPlatform = pick(&e, levels, fieldMaxPerPlatform, nil, func(r *Rule) *Field[map[string]int] { return &r.MaxPerPlatform })
	e.Exclusive = pick(&e, levels, fieldExclusive, nil, func(r *Rule) *Field[[][]string] { return &r.Exclusive })
	e.OnExcess = pick(&e, levels, fieldOnExcess, defaultOnExcess, func(r *Rule) *Field[OnExcess] { return &r.OnExcess })
	e.SameResource = pick(&e, levels, fieldSameResource, defaultSameResource, func(r *Rule) *Field[SameResource] { return &r.SameResource })
	e.TakeoverCooldownSeconds = pick(&e, levels, fieldCooldown, defaultCooldownSeconds, func(r *Rule) *Field[int] { return &r.TakeoverCooldownSeconds })
	e.TakeoverCooldownMaxSeconds = pick(&e, levels, fieldCooldownMax, nil, func(r *Rule) *Field[*int] { return &r.TakeoverCooldownMaxSeconds })
	e.GhostAfterSeconds = pick(&e, levels, fieldGhostAfterSeconds, defaultGhostAfterSeconds, func(r *Rule) *Field[int] { return &r.GhostAfterSeconds })
	e.HibernatingCounts = pick(&e, levels, fieldHibernatingCounts, false, func(r *Rule) *Field[bool] { return &r.HibernatingCounts })
	e.RequireGrant = pick(&e, levels, fieldRequireGrant, false, func(r *Rule) *Field[bool] { return &r.RequireGrant })
	e.Exempt = pick(&e, levels, fieldExempt, nil, func(r *Rule) *Field[Matchers] { return &r.Exempt })
	e.Condition = pick(&e, levels, fieldCondition, nil, func(r *Rule) *Field[*string] { return &r.Condition })
	e.MaxSessionAgeSeconds = pick(&e, levels, fieldMaxAge, nil, func(r *Rule) *Field[*int] { return &r.MaxSessionAgeSeconds })
	e.MaxIdleSeconds = pick(&e, levels, fieldMaxIdle, nil, func(r *Rule) *Field[*int] { return &r.MaxIdleSeconds })
	e.Text = pick(&e, levels, fieldText, nil, func(r *Rule) *Field[map[string]map[string]string] { return &r.Text })
	e.DenyCondition = pick(&e, levels, fieldDenyCondition, defaultDenyCondition, func(r *Rule) *Field[string] { return &r.DenyCondition })
	e.NotifyDevices = pick(&e, levels, fieldNotifyDevices, false, func(r *Rule) *Field[bool] { return &r.NotifyDevices })
	e.Enforce = pick(&e, levels, fieldEnforce, defaultEnforce, func(r *Rule) *Field[bool] { return &r.Enforce })
	if e.MaxPerPlatform == nil {
		e.MaxPerPlatform = map[string]int{}
	}
	if e.Exclusive == nil {
		e.Exclusive = [][]string{}
	}
	if e.Exempt == nil {
		e.Exempt = Matchers{}
	}
	if e.Text == nil {
		e.Text = map[string]map[string]string{}
	}
	return e
}

func pick[T any](e *Effective, levels []LevelRule, name string, otherwise T, of func(*Rule) *Field[T]) T {
	for i := range levels {
		if f := of(&levels[i].Rule); f.Set {
			e.Origin[name] = levels[i].Level
			return f.Value
		}
	}
	e.Origin[name] = LevelDefault
	return otherwise
}
