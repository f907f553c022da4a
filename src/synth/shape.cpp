#include "synth/shape.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace outsole::synth {

namespace {

double square_distance_to_segment(Point a, Point b, Point at) {
  const Point along = b - a, from = at - a;
  const double square_length = along.y * along.y + along.x * along.x;
  const double dot = from.y * along.y + from.x * along.x;
  const double share = square_length > 0 ? std::clamp(dot / square_length, 0.0, 1.0) : 0.0;
  const Point rest = from - share * along;
  return rest.y * rest.y + rest.x * rest.x;
}

double distance_to_line(const std::vector<Point>& points, Point at) {
  double nearest = square_distance_to_segment(points.front(), points.front(), at);
  for (std::size_t i = 1; i < points.size(); ++i) {
    nearest = std::min(nearest, square_distance_to_segment(points[i - 1], points[i], at));
  }
  return std::sqrt(nearest);
}

}  // namespace

Point turned(Point point, double angle_deg) {
  const double angle = angle_deg * std::numbers::pi / 180, c = std::cos(angle), s = std::sin(angle);
  return {c * point.y - s * point.x, s * point.y + c * point.x};
}

double signed_distance_to_polygon(const std::vector<Point>& polygon, Point at) {
  double nearest = std::numeric_limits<double>::infinity();
  bool inside = false;
  for (std::size_t i = 0, last = polygon.size() - 1; i < polygon.size(); last = i++) {
    const Point a = polygon[last], b = polygon[i];
    nearest = std::min(nearest, square_distance_to_segment(a, b, at));
    const bool crosses = (a.y > at.y) != (b.y > at.y);
    if (crosses && at.x < a.x + (b.x - a.x) * (at.y - a.y) / (b.y - a.y)) inside = !inside;
  }
  return inside ? -std::sqrt(nearest) : std::sqrt(nearest);
}

double signed_distance(const Shape& shape, Point at) {
  double nearest = std::numeric_limits<double>::infinity();
  for (const std::vector<Point>& stroke : shape.strokes) {
    nearest = std::min(nearest, shape.filled ? signed_distance_to_polygon(stroke, at) : distance_to_line(stroke, at));
  }
  const double outside = nearest - shape.radius;
  return shape.ring_width > 0 ? std::abs(outside + shape.ring_width / 2) - shape.ring_width / 2 : outside;
}

Box bounds_of(const Shape& shape) {
  constexpr double kFar = std::numeric_limits<double>::infinity();
  Box box{kFar, kFar, -kFar, -kFar};
  for (const std::vector<Point>& stroke : shape.strokes) {
    for (const Point point : stroke) {
      box.top = std::min(box.top, point.y - shape.radius);
      box.left = std::min(box.left, point.x - shape.radius);
      box.bottom = std::max(box.bottom, point.y + shape.radius);
      box.right = std::max(box.right, point.x + shape.radius);
    }
  }
  return box;
}

Shape placed(Shape shape, double angle_deg, Point offset) {
  for (std::vector<Point>& stroke : shape.strokes) {
    for (Point& point : stroke) point = turned(point, angle_deg) + offset;
  }
  return shape;
}

}  // namespace outsole::synth
