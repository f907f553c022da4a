#pragma once
// Plane shapes as signed distances, so that one description serves every resolution (and, by shifting the distance,
// every depth of wear).

#include <vector>

namespace outsole::synth {

/// A point or vector; y runs down (from toe to heel), x to the right.
struct Point {
  double y = 0, x = 0;
};

inline Point operator+(Point a, Point b) { return {a.y + b.y, a.x + b.x}; }
inline Point operator-(Point a, Point b) { return {a.y - b.y, a.x - b.x}; }
inline Point operator*(double factor, Point a) { return {factor * a.y, factor * a.x}; }

/// `point` turned counter-clockwise, as seen, by `angle_deg` about the origin.
Point turned(Point point, double angle_deg);

struct Box {
  double top = 0, left = 0, bottom = 0, right = 0;
};

/// Everything within `radius` of the strokes: of the lines themselves, or of the polygons they close when `filled`. One
/// point is a disk. With `ring_width` > 0 only a ring of that width along the inside of the shape's edge remains.
struct Shape {
  std::vector<std::vector<Point>> strokes;
  double radius = 0;
  bool filled = false;
  double ring_width = 0;
};

/// Distance from the shape's edge, negative inside; an even-odd polygon counts as filled.
double signed_distance(const Shape& shape, Point at);

/// The same for a closed polygon.
double signed_distance_to_polygon(const std::vector<Point>& polygon, Point at);

/// The smallest box around the shape.
Box bounds_of(const Shape& shape);

/// The shape turned about the origin, then moved.
Shape placed(Shape shape, double angle_deg, Point offset);

}  // namespace outsole::synth
