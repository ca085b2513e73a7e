--- The line through points that fits best, and how far its slope can be trusted.
--
--     local line = slope.fit(xs, ys, 34, 100)      the points from the 34th to the 100th
--     line.slope, line.low, line.high              99.9 of 100 such intervals hold the true one
--
-- Memory keeps what it once had, so a point is much like the one before it, and tells less than an independent one. By
-- the correlation of neighbours fewer points count, which makes the interval wider.
local slope = {}

-- Of the normal distribution; then of Student's, with so many degrees of freedom.
local Z = 3.2905

local function student(freedom)
  return Z + (Z ^ 3 + Z) / (4 * freedom) + (5 * Z ^ 5 + 16 * Z ^ 3 + 3 * Z) / (96 * freedom ^ 2)
end

local function mean(list, from, to)
  local sum = 0
  for i = from, to do sum = sum + list[i] end
  return sum / (to - from + 1)
end

local function least_squares(xs, ys, from, to)
  local x_mean, y_mean = mean(xs, from, to), mean(ys, from, to)
  local xx, xy = 0, 0
  for i = from, to do
    xx = xx + (xs[i] - x_mean) ^ 2
    xy = xy + (xs[i] - x_mean) * (ys[i] - y_mean)
  end
  local left = {}
  for i = from, to do left[#left + 1] = ys[i] - y_mean - xy / xx * (xs[i] - x_mean) end
  return xy / xx, xx, left
end

--- Of what the line leaves: the sum of squares, and how much a point is like its neighbour, from 0 to 1.
local function remains(left)
  local squares, products = 0, 0
  for i, rest in ipairs(left) do
    squares = squares + rest ^ 2
    products = products + rest * (left[i - 1] or 0)
  end
  return squares, squares > 0 and math.max(0, products / squares) or 0
end

function slope.fit(xs, ys, from, to)
  local rise, xx, left = least_squares(xs, ys, from, to)
  local squares, likeness = remains(left)
  local share = (1 - likeness) / (1 + likeness) -- of the points that counts
  local freedom = math.max(1, #left * share - 2)
  local doubt = student(freedom) * math.sqrt(squares / #left / (xx * share))
  return { slope = rise, low = rise - doubt, high = rise + doubt }
end

return slope
