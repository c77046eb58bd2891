package api

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// stoppingKey finds, in a request's context, the context that ends when the server begins to shut down: what would go on for ever ends then.
type stoppingKey struct{}

// Server returns a server for the handler on the address, with a limit for everything a client could draw out.
// Logger gets what net/http has to say; nil: nothing.
func Server(handler http.Handler, listen string, logger *slog.Logger) *http.Server {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	stopping, stop := context.WithCancel(context.Background())
	server := &http.Server{
		Addr:              listen,
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      requestTimeout + 15*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.Background(), stoppingKey{}, stopping)
		},
	}
	server.RegisterOnShutdown(stop)
	return server
}
