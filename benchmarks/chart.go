package main

import (
	"fmt"
	"html"
	"math"
	"os"
	"strings"
)

// colours of the contenders, in the order of the legend; the subject's stands out.
var colours = []string{"#d1495b", "#30638e", "#5b8db8", "#8fb8d9", "#6d9f71", "#a3a3a3", "#c9c9c9", "#e0b050"}

const (
	groupWidth  = 190
	chartHeight = 240
	marginLeft  = 56
	marginTop   = 56
)

// writeChart draws the capacities of all contenders as multiples of the
// baseline: a group of bars for each number of goroutines, a row for each
// workload.
func writeChart(file string, p plan, outcomes []outcome, caption string) error {
	width := marginLeft + groupWidth*len(p.goroutines) + 20
	height := marginTop + len(p.workloads)*(chartHeight+70) + 20*((len(p.contenders)+2)/3) + 20
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="system-ui, sans-serif" font-size="12">`+"\n",
		width, height, width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="%d" y="24" font-size="15" font-weight="600">Capacity as a multiple of %s</text>`+"\n", marginLeft, p.baseline)
	fmt.Fprintf(&b, `<text x="%d" y="42" fill="#666" font-size="11">%s</text>`+"\n", marginLeft, html.EscapeString(caption))
	for row, w := range p.workloads {
		drawRow(&b, p, outcomes, w, marginTop+row*(chartHeight+70))
	}
	drawLegend(&b, p, marginTop+len(p.workloads)*(chartHeight+70)+10)
	b.WriteString("</svg>\n")
	return os.WriteFile(file, []byte(b.String()), 0o666)
}

// drawRow draws one workload, its top at y.
func drawRow(b *strings.Builder, p plan, outcomes []outcome, w workload, y int) {
	ratio := func(name string, g int) float64 {
		for _, o := range outcomes {
			if r := o.result(name); r != nil && o.cell.name == w.name && o.cell.goroutines == g {
				return median(o.ratios(*r, (*sample).capacity))
			}
		}
		return 0
	}
	top := 1.0
	for _, g := range p.goroutines {
		for _, c := range p.contenders {
			top = math.Max(top, ratio(c.name, g))
		}
	}
	base, scale := y+chartHeight, float64(chartHeight-40)/top
	fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="600">%s</text>`+"\n", marginLeft, y+20, w.title)
	for i, g := range p.goroutines {
		x := marginLeft + i*groupWidth
		bar := float64(groupWidth-30) / float64(len(p.contenders))
		for j, c := range p.contenders {
			v := ratio(c.name, g)
			if v == 0 {
				continue
			}
			left, h := float64(x)+float64(j)*bar, v*scale
			fmt.Fprintf(b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"><title>%s: %.2f</title></rect>`+"\n",
				left, float64(base)-h, bar-2, h, colours[j%len(colours)], c.name, v)
			fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle" font-size="10">%.1f</text>`+"\n", left+bar/2-1, float64(base)-h-4, v)
		}
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="middle" fill="#444">%d at a time</text>`+"\n", x+(groupWidth-30)/2, base+18, g)
	}
	line := float64(base) - scale
	fmt.Fprintf(b, `<path d="M%d %d h%d" stroke="#444"/><path d="M%d %.1f h%d" stroke="#444" stroke-dasharray="3 3"/>`+"\n",
		marginLeft, base, groupWidth*len(p.goroutines), marginLeft, line, groupWidth*len(p.goroutines))
	fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end">1.0</text>`+"\n", marginLeft-6, line+4)
}

// drawLegend names the colours, three contenders to a line.
func drawLegend(b *strings.Builder, p plan, y int) {
	for i, c := range p.contenders {
		x, y := marginLeft+(i%3)*250, y+(i/3)*20
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="12" height="12" fill="%s"/><text x="%d" y="%d">%s</text>`+"\n",
			x, y, colours[i%len(colours)], x+18, y+10, html.EscapeString(c.name))
	}
}
