package msm

type counters struct{}
