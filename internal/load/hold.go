package load

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Hold opens connections that say CONNECT and HELO and then nothing more, as
// those of an MTA whose clients are slow. release closes them all. With an error
// those that were opened are closed already.
func Hold(ctx context.Context, network, address string, connections int) (release func(), err error) {
	var all []*conn
	release = func() {
		for _, c := range all {
			_ = c.quit()
			c.Close()
		}
	}
	known := dialogues{}
	for range connections {
		c, err := dial(ctx, network, address, 0, time.Now().Add(10*time.Second))
		if err != nil {
			release()
			return nil, fmt.Errorf("load: connection %d: %w", len(all)+1, err)
		}
		all = append(all, c)
		d := known.get(c.protocol)
		_, err = c.run(d.greeting)
		if err = errors.Join(err, c.send(d.left)); err != nil {
			release()
			return nil, fmt.Errorf("load: connection %d: %w", len(all), err)
		}
		c.SetDeadline(time.Time{})
	}
	return release, nil
}

// Ask brings one small mail on a connection of its own, and tells whether the
// milter refused it or its recipient, for now or for good.
func Ask(ctx context.Context, network, address string) (refused bool, err error) {
	r, err := Run(ctx, Plan{Network: network, Address: address, Total: 1})
	if err != nil {
		return false, err
	}
	if r.Failed() > 0 || r.Messages != 1 {
		return false, fmt.Errorf("load: %d messages answered, errors: %v", r.Messages, r.Errors)
	}
	return r.Answers["accept"]+r.Answers["continue"] == 0, nil
}
