package api

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics counts requests. Its labels are from closed sets: the table of routes, their methods, and HTTP statuses.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	streams  prometheus.Gauge
	routes   map[string]bool // whether they are timed
	page     http.Handler
}

func newMetrics(registry *prometheus.Registry, log *slog.Logger) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bindgate_http_requests_total", Help: "Requests answered, by route, method and status."},
			[]string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "bindgate_http_request_seconds", Help: "Time to answer a request, by route.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route"}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{Name: "bindgate_event_streams", Help: "Event streams that are open."}),
		routes:  map[string]bool{},
		page: promhttp.HandlerFor(registry, promhttp.HandlerOpts{
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError), ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4, Timeout: requestTimeout,
		}),
	}
	for _, r := range routes() {
		m.routes[r.path] = !r.stream()
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.streams} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) observe(c echo.Context, took time.Duration) {
	route, method := c.Path(), c.Request().Method
	timed, known := m.routes[route]
	if !known {
		route, timed = "none", true
	}
	switch method {
	case http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete:
	default:
		method = "other"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(c.Response().Status)).Inc()
	if !timed { // a stream lasts as long as its client likes
		return
	}
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

func (a *api) getMetrics(c *call) error {
	a.metrics.page.ServeHTTP(c.Response(), c.Request())
	return nil
}
