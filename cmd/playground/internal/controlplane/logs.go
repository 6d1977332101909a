package controlplane

import (
	"io"
	"log"
	"log/slog"

	"google.golang.org/grpc/grpclog"
	"k8s.io/klog/v2"
	kwoklog "sigs.k8s.io/kwok/pkg/log"
)

// quiet directs what the components say, which is a flood even when all is well, to w when verbose is set, and to
// nowhere otherwise. All of them log through variables of their packages; the one logger that travels as a value,
// kwok's, is returned.
func quiet(w io.Writer, verbose bool) *kwoklog.Logger {
	level := slog.LevelInfo
	if !verbose {
		w, level = io.Discard, slog.LevelError
	}
	handler := slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})
	klog.SetSlogLogger(slog.New(handler))
	log.SetOutput(w)
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	return kwoklog.NewLogger(w, level)
}
