package people

// Hold takes every place at which passwords are looked at, until it is freed.
func (p *People) Hold() (free func()) {
	for range hashesAtOnce {
		p.hashes.running <- struct{}{}
	}
	return func() {
		for range hashesAtOnce {
			<-p.hashes.running
		}
	}
}

// Waiting is how many passwords wait to be looked at.
func (p *People) Waiting() int { return len(p.hashes.waiting) }
