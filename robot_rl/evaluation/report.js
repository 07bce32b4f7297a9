document.querySelectorAll('svg[data-series]').forEach(svg => {
  const series = JSON.parse(svg.dataset.series), cursor = svg.querySelector('.cursor');
  const tip = document.createElement('div'); tip.className = 'tip'; svg.parentNode.append(tip);
  const nearest = (px, x) => { let lo = 0, hi = px.length - 1;
    while (hi - lo > 1) { const m = (lo + hi) >> 1; if (px[m] < x) lo = m; else hi = m; }
    return x - px[lo] < px[hi] - x ? lo : hi; };
  svg.addEventListener('pointermove', e => {
    const box = svg.getBoundingClientRect(), view = svg.viewBox.baseVal, x = (e.clientX - box.left) * view.width / box.width;
    const points = series.map(s => { const k = nearest(s.px, x); return {x: s.px[k], y: s.py[k], at: s.x[k], of: s.y[k], s}; })
      .filter(p => Math.abs(p.x - x) < 30);
    if (!points.length) { tip.style.display = 'none'; cursor.replaceChildren(); return; }
    const mid = points[0].x;
    cursor.innerHTML = `<line x1="${mid}" x2="${mid}" y1="12" y2="210"/>` +
      points.map(p => `<circle class="c${p.s.color}" cx="${p.x}" cy="${p.y}" r="4"/>`).join('');
    tip.replaceChildren(...points.map(p => { const d = document.createElement('div');
      d.textContent = `${p.s.name}: ${p.of} at ${p.at}`; return d; }));
    tip.style.display = 'block';
    const left = box.left - svg.parentNode.getBoundingClientRect().left + mid * box.width / view.width + 12;
    tip.style.left = Math.min(left, svg.parentNode.clientWidth - tip.offsetWidth - 8) + 'px';
    tip.style.top = svg.offsetTop + 8 + 'px';
  });
  svg.addEventListener('pointerleave', () => { tip.style.display = 'none'; cursor.replaceChildren(); });
});
