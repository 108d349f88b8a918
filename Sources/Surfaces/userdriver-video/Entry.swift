// `userdriver-video`: shows the daemon's cameras to the kernel, which makes /dev/videoN of them.

import Glibc
import VideoNode

@main
enum Entry {
    static func main() {
        signal(SIGPIPE, SIG_IGN)
        do {
            let options = try VideoOptions(Array(CommandLine.arguments.dropFirst()))
            switch options.work {
            case .help:
                print(VideoOptions.help)
            case .serve:
                VideoServer.run(options)
            case .attach:
                try options.attacher().run()
            }
        } catch let failure as VideoOptions.Misuse {
            VideoLog.write("\(failure)")
            exit(2)
        } catch {
            VideoLog.write("\(error)")
            exit(1)
        }
    }
}
