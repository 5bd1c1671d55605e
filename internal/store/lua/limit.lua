-- Limit: KEYS[1] is the window, ARGV most and per (milliseconds). It is window.take
-- of window.go in Lua; the text of a window is "time,calls;" for each mark.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local most, per = tonumber(ARGV[1]), tonumber(ARGV[2])
local slices = 64

local marks, count = {}, 0
for at, n in string.gmatch(redis.call('GET', KEYS[1]) or '', '(%d+),(%d+);') do
  at, n = math.min(tonumber(at), now), tonumber(n)
  if at + per > now then
    marks[#marks + 1] = {at, n}
    count = count + n
  end
end

if count >= most then
  local left, reset = count, 0
  for _, m in ipairs(marks) do
    reset, left = m[1] + per - now, left - m[2]
    if left < most then break end
  end
  return {0, count, reset}
end

local last, width = marks[#marks], math.floor((per + slices - 1) / slices)
if last and (math.floor(last[1] / width) == math.floor(now / width) or #marks > slices + 1) then
  last[1], last[2] = now, last[2] + 1
else
  marks[#marks + 1] = {now, 1}
end
local text = {}
for i, m in ipairs(marks) do text[i] = string.format('%.0f,%.0f;', m[1], m[2]) end
redis.call('SET', KEYS[1], table.concat(text), 'PX', ARGV[2])
return {1, count + 1, marks[1][1] + per - now}
