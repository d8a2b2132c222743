// Command desk is the order desk of docs/guide, from chapter 5 on. The chapters
// show all of it.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time" // chapter 12

	"github.com/prometheus/client_golang/prometheus" // chapter 12

	"lastmile"
	"lastmile/devredis"
	"lastmile/live"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal does not wait
	desk := &Desk{}
	desk.password = os.Getenv("DESK_PASSWORD") // chapter 8
	desk.metrics = os.Getenv("METRICS_ADDR")   // chapter 12
	err := lastmile.Run(ctx, lastmile.Config{
		Setup: desk.Setup, Development: devredis.Open,
		RedisURL: os.Getenv("REDIS_URL"), Role: lastmile.Role(os.Getenv("ROLE")), Addr: os.Getenv("ADDR"),
		Live: live.Config{
			Topics:        topics, // chapter 7
			Authenticator: desk,   // chapter 8
		},
		DrainDelay: 5 * time.Second,              // chapter 12
		Registerer: prometheus.DefaultRegisterer, // chapter 12
	})
	if err != nil {
		log.Fatal(err)
	}
}
