// Whether udev is still busy with what was just plugged in.

import Glibc

enum UdevQueue {
    /// Exists while udev has events that it has not finished (loading modules is among them).
    private static let marker = "/run/udev/queue"
    private static let patience = Duration.seconds(3)
    private static let interval = Duration.milliseconds(20)

    /// Returns once udev has nothing to do, but not later than after a few seconds: some machine's udev is never done.
    static func settle() async {
        let deadline = ContinuousClock.now + patience
        while access(marker, F_OK) == 0, ContinuousClock.now < deadline {
            do { try await Task.sleep(for: interval) } catch { return }
        }
    }
}
