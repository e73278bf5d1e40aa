module github.com/seed99545744/msm

go 1.25.0
