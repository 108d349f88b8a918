// Scenes that were painted: a stream that starts again at the same size starts at once.

import Pictures

/// The scenes of one camera, by size. A few megabytes each, five at most.
final class SceneStore: Sendable {
    private struct Size: Hashable {
        var width: Int
        var height: Int
    }

    private let scenes = Monitor<[Size: Scene]>([:])

    /// Painted now if it was not before.
    func scene(width: Int, height: Int) throws(PictureError) -> Scene {
        let size = Size(width: width, height: height)
        if let known = scenes.withLock({ $0[size] }) { return known }
        let scene = try Scene(width: width, height: height)
        scenes.withLock { $0[size] = scene }
        return scene
    }
}
