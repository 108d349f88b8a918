// Scenes that were painted: a stream that starts again at the same size starts at once.

import Pictures
import Threads

/// The scenes of one camera, by size. A few megabytes each, five at most.
final class SceneStore: Sendable {
    private struct Size: Hashable {
        var width: Int
        var height: Int
    }

    private enum Entry {
        case inMaking
        case painted(Scene)
    }

    private let scenes = Monitored<[Size: Entry]>([:])

    /// Painted now if it was not before; if somebody is at it, it is waited for.
    func scene(width: Int, height: Int) throws(PictureError) -> Scene {
        let size = Size(width: width, height: height)
        let known: Scene?? = scenes.wait { scenes in
            switch scenes[size] {
            case .painted(let scene): return .some(scene)
            case .inMaking: return nil
            case nil:
                scenes[size] = .inMaking
                return .some(nil)
            }
        }
        if let scene = known ?? nil { return scene }
        do throws(PictureError) {
            let scene = try Scene(width: width, height: height)
            scenes.change { $0[size] = .painted(scene) }
            return scene
        } catch {
            scenes.change { $0[size] = nil }
            throw error
        }
    }
}
