// Moving pictures of a robot's plane.
function decoded(text, Kind) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  return new Kind(bytes.buffer);
}
function colour(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }
function place(plane, canvas) { // from the plane to pixels, y upwards
  const scale = canvas.width / (2 * plane.half_width);
  return [x => (x + plane.half_width) * scale, y => (plane.half_width - y) * scale, scale];
}
function drawPlane(context, plane) {
  const [x, y, scale] = place(plane, context.canvas);
  const disc = ([cx, cy, radius], fill) => {
    context.beginPath(); context.arc(x(cx), y(cy), radius * scale, 0, 2 * Math.PI); context.fillStyle = fill; context.fill();
  };
  plane.hazards.forEach(hazard => disc(hazard, "rgba(110, 130, 150, .45)"));
  disc(plane.goal, "rgba(63, 163, 77, .85)");
}

function animate(holder) {
  const data = JSON.parse(holder.querySelector("script").textContent);
  const [canvas, graph] = holder.querySelectorAll("canvas");
  const select = holder.querySelector("select"), play = holder.querySelector("button"), slider = holder.querySelector("input");
  const said = holder.querySelector("output");
  const context = canvas.getContext("2d"), curves = graph.getContext("2d");
  const POSITION = 8000, ANGLE = 5000, VALUE = 1000;
  let episodes = [], longest = 1, step = 0, playing = false, last = 0;
  for (const name of Object.keys(data.methods)) select.add(new Option(name));
  function load() {
    const method = data.methods[select.value], half = data.plane.half_width;
    const [xs, ys, headings, values] = ["x", "y", "heading", "value"].map(name => decoded(method[name], Int16Array));
    let start = 0;
    episodes = method.lengths.map((length, index) => {
      const part = (array, unit) => Float32Array.from(array.subarray(start, start + length), v => v / unit);
      const one = {x: part(xs, POSITION / half), y: part(ys, POSITION / half), heading: part(headings, ANGLE), value: part(values, VALUE),
        length, feasible: method.feasible[index], violation: method.first_violation[index], goal: method.reached_goal[index]};
      start += length;
      return one;
    });
    longest = Math.max(...method.lengths);
    slider.max = longest;
    show();
  }
  function show() {
    const ink = colour("--ink"), learned = `rgb(${colour("--learned")})`, free = `rgb(${colour("--free")})`, quiet = colour("--line");
    context.clearRect(0, 0, canvas.width, canvas.height);
    drawPlane(context, data.plane);
    const [x, y] = place(data.plane, canvas);
    let running = 0, violated = 0, arrived = 0;
    for (const one of episodes) {
      const now = Math.min(Math.floor(step), one.length - 1);
      running += step < one.length; violated += one.violation !== null && one.violation <= step; arrived += one.goal && step >= one.length;
      context.lineWidth = 2.2; context.lineCap = "round";
      for (let t = 1; t <= now; t++) {
        context.beginPath(); context.strokeStyle = one.value[t] > 0 ? learned : free;
        context.globalAlpha = .55; context.moveTo(x(one.x[t - 1]), y(one.y[t - 1])); context.lineTo(x(one.x[t]), y(one.y[t])); context.stroke();
      }
      context.globalAlpha = step < one.length ? 1 : .5;
      context.save(); context.translate(x(one.x[now]), y(one.y[now])); context.rotate(-one.heading[now]);
      context.beginPath(); context.moveTo(13, 0); context.lineTo(-8, 7); context.lineTo(-8, -7); context.closePath();
      context.fillStyle = one.value[now] > 0 ? learned : free; context.fill(); context.restore();
      if (one.violation !== null && one.violation <= step) {
        context.beginPath(); context.arc(x(one.x[now]), y(one.y[now]), 15, 0, 2 * Math.PI); context.strokeStyle = learned; context.lineWidth = 3; context.stroke();
      }
      context.globalAlpha = 1;
    }
    curves.clearRect(0, 0, graph.width, graph.height);
    const all = episodes.flatMap(one => [...one.value]), low = Math.min(...all, -.1), high = Math.max(...all, .1);
    const left = 62, bottom = 46, gx = t => left + t / longest * (graph.width - left - 12), gy = v => 14 + (high - v) / (high - low) * (graph.height - bottom - 14);
    curves.font = "20px system-ui, sans-serif"; curves.fillStyle = ink; curves.textAlign = "right"; curves.textBaseline = "middle";
    for (const tick of [high, 0, low]) curves.fillText(tick.toFixed(1).replace("-", "−"), left - 8, gy(tick));
    curves.textAlign = "center"; curves.fillText("step", (left + graph.width) / 2, graph.height - 14);
    curves.textAlign = "left"; curves.fillText("0", left, graph.height - 14); curves.textAlign = "right"; curves.fillText(longest, graph.width - 12, graph.height - 14);
    curves.fillStyle = `rgba(${colour("--learned")}, .12)`; curves.fillRect(left, gy(high), graph.width - left - 12, gy(0) - gy(high));
    curves.strokeStyle = ink; curves.lineWidth = 1.5; curves.beginPath(); curves.moveTo(left, gy(0)); curves.lineTo(graph.width - 12, gy(0)); curves.stroke();
    for (const one of episodes) {
      curves.beginPath(); curves.lineWidth = 1.8; curves.strokeStyle = one.violation !== null ? learned : free;
      const until = Math.min(Math.floor(step), one.length - 1);
      for (let t = 0; t <= until; t++) t ? curves.lineTo(gx(t), gy(one.value[t])) : curves.moveTo(gx(0), gy(one.value[0]));
      curves.globalAlpha = .7; curves.stroke(); curves.globalAlpha = 1;
    }
    curves.strokeStyle = quiet; curves.beginPath(); curves.moveTo(gx(step), 14); curves.lineTo(gx(step), graph.height - bottom); curves.stroke();
    slider.value = step;
    said.textContent = `step ${Math.floor(step)}: ${running} running, ${arrived} at the goal, ${violated} violated`;
  }
  function tick(now) {
    if (!playing) return;
    step = Math.min(longest, step + (now - last) / 1000 * 40); // twice the robot's own time
    last = now;
    show();
    if (step >= longest) pause(); else requestAnimationFrame(tick);
  }
  function pause() { playing = false; play.textContent = "Play"; }
  play.addEventListener("click", () => {
    if (playing) return pause();
    playing = true; play.textContent = "Pause"; last = performance.now();
    if (step >= longest) step = 0;
    requestAnimationFrame(tick);
  });
  slider.addEventListener("input", () => { pause(); step = Number(slider.value); show(); });
  select.addEventListener("change", () => { load(); });
  dark.addEventListener("change", show);
  load(); step = Math.round(longest / 4); show();
}

function region(holder) {
  const data = JSON.parse(holder.querySelector("script").textContent);
  const canvas = holder.querySelector("canvas"), context = canvas.getContext("2d");
  const [speed, heading] = holder.querySelectorAll("input"), [speedText, headingText, said] = holder.querySelectorAll("output");
  const values = decoded(data.value, Int8Array), bits = decoded(data.infeasible, Uint8Array), n = data.points;
  canvas.width = canvas.height = 16 * n; // whole pixels for each state, or seams would show
  const truly = index => bits[index >> 3] >> (index & 7) & 1;
  speed.max = data.speeds.length - 1; heading.max = data.headings.length - 1;
  function show() {
    const start = (Number(speed.value) * data.headings.length + Number(heading.value)) * n * n, cell = canvas.width / n;
    context.clearRect(0, 0, canvas.width, canvas.height);
    let both = 0, either = 0, missed = 0, wrongly = 0, infeasible = 0;
    for (let row = 0; row < n; row++) for (let column = 0; column < n; column++) {
      const index = start + row * n + column, value = values[index] * data.value_step, called = value > 0, is = truly(index) === 1;
      both += called && is; either += called || is; missed += is && !called; wrongly += called && !is; infeasible += is;
      const strength = Math.min(1, Math.abs(value) / 1.2);
      context.fillStyle = `rgba(${colour(called ? "--learned" : "--free")}, ${called ? .35 + .55 * strength : .06 + .3 * strength})`;
      context.fillRect(column * cell, canvas.height - (row + 1) * cell, cell, cell);
    }
    context.strokeStyle = colour("--ink"); context.lineWidth = 3; context.setLineDash([9, 6]); context.beginPath();
    for (let row = 0; row < n; row++) for (let column = 0; column < n; column++) {
      const index = start + row * n + column, x = (column + 1) * cell, y = canvas.height - (row + 1) * cell;
      if (column + 1 < n && truly(index) !== truly(index + 1)) { context.moveTo(x, y); context.lineTo(x, y + cell); }
      if (row + 1 < n && truly(index) !== truly(index + n)) { context.moveTo(x - cell, y); context.lineTo(x, y); }
    }
    context.stroke(); context.setLineDash([]);
    drawGoal();
    const angle = data.headings[Number(heading.value)] * Math.PI / 180, pace = data.speeds[Number(speed.value)];
    context.save(); context.translate(70, canvas.height - 70); context.rotate(-angle);
    context.strokeStyle = context.fillStyle = colour("--ink"); context.lineWidth = 4;
    const length = 14 + 16 * pace;
    context.beginPath(); context.moveTo(-length / 2, 0); context.lineTo(length / 2, 0); context.stroke();
    context.beginPath(); context.moveTo(length / 2 + 14, 0); context.lineTo(length / 2, 8); context.lineTo(length / 2, -8); context.fill();
    context.restore();
    speedText.textContent = pace.toFixed(1); headingText.textContent = `${data.headings[Number(heading.value)]}°`;
    said.textContent = infeasible ? `Intersection over union ${(both / either).toFixed(2)}; of the truly infeasible states ${(100 * missed / infeasible).toFixed(1)} % are called feasible, of the feasible ones ${(100 * wrongly / (n * n - infeasible)).toFixed(1)} % infeasible.` : "No state is infeasible.";
  }
  function drawGoal() {
    const [x, y, scale] = place(data.plane, canvas), [cx, cy, radius] = data.plane.goal;
    context.beginPath(); context.arc(x(cx), y(cy), radius * scale, 0, 2 * Math.PI); context.fillStyle = "rgba(63, 163, 77, .9)"; context.fill();
    context.lineWidth = 1.5; context.strokeStyle = colour("--ink"); context.setLineDash([2, 4]);
    for (const [hx, hy, r] of data.plane.hazards) { context.beginPath(); context.arc(x(hx), y(hy), r * scale, 0, 2 * Math.PI); context.stroke(); }
    context.setLineDash([]);
  }
  speed.addEventListener("input", show); heading.addEventListener("input", show);
  dark.addEventListener("change", show);
  speed.value = 2; heading.value = 1; show();
}
document.querySelectorAll(".plane.animation").forEach(animate);
document.querySelectorAll(".plane.region").forEach(region);
